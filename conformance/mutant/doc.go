// Package mutant changes JSON documents for tests: by patches that a table holds, or everywhere. It is imported by tests only.
package mutant
