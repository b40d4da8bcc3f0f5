// Package openfd is for files that are open already, of which nobody shall be able to change which they are.
package openfd
