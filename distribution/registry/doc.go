// Package registry serves the OCI distribution API over a Backend: `oci serve` runs it over the
// store, tests run it over Memory.
//
// It promises all pull APIs (blobs with single ranges, HEAD, manifests by tag and digest), the
// referrers API, content discovery (tags, catalog, with pagination) and, when Options.Writable is
// set, pushes (one POST, POST then PUT, chunked, cancelled, mounted from another repository) and
// deletes, as distribution-spec v1.1.1 spec.md describes them, with errors in its JSON form.
//
// A Pool is a Backend over one store for all repositories: what is deleted in one of them stays as
// long as a name of another, or an index, leads to it. A delete is refused with 405 DENIED if that
// leaves nothing to be done.
//
// What the conformance suite of the distribution-spec checks is checked by the tests TestDS26_*,
// which need nothing but this package.
//
// It stores manifests byte for byte, keeps nothing whose size or digest is unproved, refuses a
// manifest whose media types contradict each other or whose blobs are absent, and bounds what a
// client can make it hold: manifest size, upload sessions, their age.
//
// It does not authenticate: whoever exposes it beyond loopback puts that in front.
package registry
