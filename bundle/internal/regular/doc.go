// Package regular reads files that an administrator has put into a directory of settings: regular ones, links to
// them followed, of a bounded size. A FIFO or a device is an error and not a wait.
package regular
