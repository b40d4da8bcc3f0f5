// Command oci takes a container image from a registry to a running container, without a daemon:
// registry -> verified content -> rootfs -> bundle -> container.
//
// It is where the stages meet: the packages distribution, image, unpack, bundle and runtime do not
// import one another, and each verb here is the few lines that hand one stage's value to the next.
// It alone writes to a stream, turns errors into exit statuses (exit.go has the one table) and
// knows where the store is.
//
// The scripts in testdata/script are its specification: a behaviour that no script shows is not
// promised. Standard output carries what was asked for and nothing else; progress, warnings and
// errors go to standard error.
package main
