// Package credential finds the credentials that this and other tools have stored for a registry, in
// containers' auth.json, Docker's config.json and the credential helpers they name, and stores and
// erases them there.
//
// The first file that knows the registry decides, in this order: Options.File alone if given;
// $REGISTRY_AUTH_FILE alone if set; else $XDG_RUNTIME_DIR/containers/auth.json (or
// /run/containers/UID), $XDG_CONFIG_HOME/containers/auth.json, $DOCKER_CONFIG/config.json and
// Docker's old ~/.dockercfg. In a file a helper named for the host comes first, then the entry with
// the longest path (host/namespace/repository before host), then the default helper. These are the
// rules of containers-auth.json(5) and of Docker. Options.Helpers, which registries.conf(5) has as
// credential-helpers, may put other helpers before, after or in place of the files.
//
// It refuses to be led: a helper is asked for the exact host only, its name cannot be a path, its
// output and its time are bounded, and no error text holds a secret. Lookup never writes. Store and
// Erase change one file, the one that podman and skopeo would change; Rotate writes where Lookup read.
// A file is changed by one process at a time, which locks its directory, and replaced by rename,
// readable by its owner only; a symbolic link stays one, and whatever else the file holds is kept.
package credential
