// Package reference reads the names by which people call images, and writes them in one normal form.
//
// A bare name is one in a registry, with Docker's defaults: python is docker.io/library/python:latest,
// and the first component is a host if it has a dot or a colon or is localhost. Other places are
// named by a prefix: oci:DIR[:TAG][@DIGEST], oci-archive:FILE[:TAG], docker-archive:FILE[:REF],
// dir:DIR; docker://NAME is a bare name spelt out. oci+https://HOST/DIR[:TAG][@DIGEST] is a layout that
// a plain file server has, and oci+http: the same without TLS.
//
// A Ref that Parse returned keeps the grammars of distribution-spec ("Pulling manifests"); its digest
// has been proved to be one (so it may become part of a path), and Parse of its String gives it
// again.
package reference
