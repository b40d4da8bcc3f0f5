// Package spec is the ledger of the requirements that this project keeps: one Clause value a
// duty, named by its ID, grouped in a file a specification. It holds data only, imports nothing,
// and is the one package that every other may import.
package spec
