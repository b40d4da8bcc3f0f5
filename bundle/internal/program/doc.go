// Package program reads how a file is executed: as an ELF program or a script, for which machine, by which interpreter.
package program
