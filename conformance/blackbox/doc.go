// Package blackbox holds no code, only tests: they build the binary, drive it as a user does, and
// check what it did from the outside, with other people's programs as judges (a real registry, skopeo,
// umoci, runc, crun) and with real images.
//
// The images are OCI layouts in the directory that OCI_TEST_IMAGES names; conformance/images/make-images
// makes them. OCI_TEST_BINARY tests a binary that is there already instead of building one. A test
// that lacks an image, a program or a privilege skips and says which.
//
// As root the tests run in a mount namespace of their own, so that a mount left behind can be
// counted, and nothing they mount is seen outside.
package blackbox
