// Package distribution is the client of registries: it resolves names, pulls images into a sink
// and pushes them from a source, over the distribution API (distribution-spec v1.1.1, spec.md).
//
// It promises that nothing a registry says is believed. A name is resolved once, afterwards only
// digests are asked for; every manifest is proved before it is read, every blob by the sink's
// Commit; a header that names a digest, a length or a range must agree with what was asked.
// Transfers survive cut, stalled and refused connections: a blob goes on at the byte where it
// stopped, within a pull and, through the sink's checkpoint, in a later process. The ETag of the first
// bytes goes with the request for the rest (If-Range), so that content that has changed is noticed
// before the digest tells; ETags that change by themselves cost one new start. Waits are bounded
// by Options.Retry, and a registry's Retry-After is kept for all requests to that host.
//
// With Options.Mirrors the places of package mirrorconfig are asked in order, for content and, where
// they may say what tags mean, for names; the registry comes last. What a mirror gives is proved as
// anything else, and a mirror that lies, fails or stalls is passed over, in the middle of a blob
// too. It never gets the registry's credentials. Lists of tags and of referrers come from mirrors that
// may give them; content goes to the registry, or to a host that the files name for it.
//
// It refuses plain http except to loopback addresses or with Options.Insecure, sends credentials
// to the host they are for and to the token server it names over https, drops Authorization on
// a redirect to another host, and lets no registry lead to this machine, nor to link-local addresses
// and others at which clouds serve credentials of the machine, unless it is there itself. Where a manifest says that a blob is elsewhere, and the registry lacks it, that place
// is asked over https, anonymously, and only if it is no nearer than the registry.
//
// Names of registries and scopes of tokens are go-containerregistry's (pkg/name). Challenges and
// tokens are this package's own code, and not go-containerregistry's transport: that one links
// docker/cli and logrus (0.07 ms of start-up and 0.5 MB measured), knows no expiry of tokens,
// no Retry-After and no ranges, and takes every RFC 1918 address for an insecure registry.
package distribution
