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
// It stores manifests byte for byte, keeps nothing whose size or digest is unproved, and refuses a
// manifest whose media types contradict each other, whose blobs are absent, or that decoders would
// read in two ways (a name twice in an object) or could not hold.
//
// It bounds what a client can make it hold: the size of a manifest, the entries of its lists, the
// memory of all large manifests together, upload sessions and their age (the longest idle one makes
// room when there are too many), and with Options.Stall the time for each step of a body. One
// request at a time works on an upload; another one waits ten seconds for it and is answered 429.
// An upload reaches the Backend when it is complete, so a slow client keeps no lock there. A list of
// referrers comes in pages of about 1 MiB, by Link.
//
// It does not authenticate: whoever exposes it beyond loopback puts that in front.
package registry
