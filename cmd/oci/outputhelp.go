package main

import "github.com/spf13/cobra"

// outputTopic is a topic of `oci help` and does nothing.
func outputTopic(*app) *cobra.Command {
	return &cobra.Command{Use: "output", Short: "What verbs print, for people and for programs", Long: `Results go to standard output, everything else to standard error. -q shows no progress.

--format text is for people and may change. --format json is for programs. A template such as
'{{.digest}} {{.layers.0.size}}' gives what the JSON has under these names; {{json .layers}} gives JSON,
{{.}} all of it. Of a list each element is a line.

Verbs that move or make an image (pull, push, copy, import, export, unpack, repack, attach, artifact) give these fields:

  ref           the name of the result, in full
  digest        what it means
  mediaType     of the same
  manifest, id  digests of the manifest and config of the one platform
  platform      of the one; platforms, of several
  layers        mediaType, digest, size and diffID of each layer of the one
  referrers     digests of what was moved with it
  bytesFetched  came into the store; bytesReused were there; bytesSent went to the destination
  devices       of unpack --devices bind: path, type (c or b), major, minor, mode, uid, gid of those that an empty file
                stands for
  durationMs    of the command
  warnings      of registries and of this program
  base          of repack: digest of the image that was changed; changes, how many paths; newLayer, as one of layers

diff gives what differs:

  a, b          what was compared: ref, manifest, id and number of layers of an image, or rootfs
  same          whether nothing differs
  added, removed, changed  numbers of paths; addedBytes, removedBytes, grownBytes of the files
  sharedLayers  of two images: the lowest ones that are the same
  changes       path (quoted as Go does, with raw in base64, if it is not UTF-8), kind (added, removed, changed),
                what is different, old and new: type, mode, uid, gid, size, digest, mtime, layer
  config        with --config: field, kind, old and new

verify gives these:

  ref, manifest, id   the image: its name, and the digests of manifest and config
  rootfs, recorded    the directory, and whether the store has a record of its unpacking
  level, verified     what was asked for, and whether it was proved
  changed, missing, extra   how many paths; changes, each: path (quoted if it is not UTF-8, then with raw, base64), kind, what
  unread              paths that could not be read, with the error
  layers              of each: diffID, state (proved, differs, unproved, not read), rebuilt, hidden (files that come from the
                      blob), and the error; of an image also digest and unpacked
  problems            what is wrong besides; mounts that were not looked into; leftOut, differences that the unpacking left
  paths, files, bytes on disk, compared, and of these

validate image and validate layout give:

  subject, kind       what was judged: layout, image or document
  problems            of each: where (a file of the layout, or a digest), pointer into the document or entry of the layer (quoted if it is
                      not UTF-8, then with raw, base64), level (MUST, SHOULD, MAY), clause, url, problem, hint (what to write instead)
  summary             must, should, may: how many there are, also of those that are not listed; documents and layers that were
                      judged, blobs that were hashed, and their bytes; verdict: valid or invalid (the status is 10)
  durationMs          of the command

validate bundle gives:

  subject, kind, platform  what was judged; bundle; by whose rules
  problems            pointer (into config.json), level (with --host also HOST), clause, url, problem, hint; of level HOST
                      effect: refused (the container does not start here) or changed (it starts, and that does not hold)
  summary             must, should, may; with --host host.refused and host.changed; verdict: valid, invalid (a MUST is broken,
                      with --strict a SHOULD: the status is 10) or unable (this host cannot do it: the status is 7)
  durationMs          of the command

volume ls and inspect give of each volume:

  name, created, labels
  anonymous           whether it was made without a name
  used                whether a container has had it: then it is not filled from an image any more
  mountpoint          the directory of its files
  containers          that have it

--digestfile FILE writes the digest alone, without an end of line, as other tools do.

--progress is auto (bars on a terminal, else plain), tty, plain (a line for each blob, and every 10 s or 10 % of a
long one), none, or json: an object on a line of standard error for each event, with the fields

  kind       resolved, started, progress, done, reused, retry, failed, unpacked, warning, wait
  ref        the name that it is about
  digest     of the blob; mediaType, its type
  bytes      so far; of started, those that an earlier run had fetched
  total      bytes expected; 0 if not known
  host       of a wait: the registry; waitMs, how long
  error      why: of retry, failed, warning and wait

Colours are not used, so NO_COLOR needs nothing; with TERM=dumb or --no-tty there are no bars. Controls and marks of
direction in what registries and images say are shown as escapes.

--debug traces every HTTP request on standard error, or with --log FILE there: method, URL, headers, status,
time. Credentials, cookies, signatures and headers that are not known are masked.

Ctrl-C keeps what has come: the same command goes on where it stopped. A second one ends at once.`}
}
