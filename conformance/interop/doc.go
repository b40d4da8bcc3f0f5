// Package interop holds no code, only tests: what this program writes is read by the tools that people
// use beside it, and what those write is read by it, through every form that an image has (registry,
// layout, archives), with equal digests.
//
// Servers are Debian's docker-registry 2.8, distribution v3 and `oci serve`; clients and writers are
// skopeo, podman, buildah, umoci and containerd of Debian, and crane, regctl, oras and gomtree in current versions,
// which .ci/tools builds. Tools are looked for in the directory that OCI_PEERS names, else in .cache/tools,
// else on the PATH; a test that lacks one skips and says which. OCI_TEST_BINARY tests a binary that
// is there already instead of building one.
package interop
