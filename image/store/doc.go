// Package store keeps image content on disk. The store is an OCI image layout (image-layout.md), so
// every tool that reads one can read it; beside the layout's own files it has
//
//	ingest/<algorithm>-<hex>        content on its way in, and .json: a checkpoint of its hash
//	ingest/upload-<key>.json        how far a push came that was broken off
//	index.last, index.lost          what an edit has left, and entries that other tools wrote over
//	origins.jsonl                   which repositories have had what, to mount blobs from
//	layers/                         unpacked layers, kept by package unpack/snapshot
//	containers/                     bundles and writable layers of containers
//	rootfs/                         what directories elsewhere were unpacked from, kept by unpack/verify
//	index.lock, store.lock          what processes lock (flock(2)); both stay empty
//
// It promises:
//
//   - Content enters by Ingest and Commit only, which proves size and digest, and is then renamed into
//     blobs/. Names enter by Tag, which proves that the content is there. Neither is ever half done:
//     a process may be killed at any instant, and the next finds a valid layout.
//
//   - An interrupted ingest is taken up by a later process where the other was stopped.
//
//   - Two processes that want the same content do the work once: the second waits for the first, and
//     takes over if that one dies.
//
//   - Prune deletes nothing that a pull in another process still counts on: see Hold.
//
//   - Other tools write the layout beside us without a lock. What they write is never lost: an edit of
//     index.json that crosses one of theirs is made again on top of it, and half a document is waited
//     for. What they lose of ours (skopeo writes back the index that it read when its copy began) is
//     seen by the next edit or Check, kept by Prune, and given back by Restore. While they leave their
//     working files in the root, Prune spares the blobs of the last hour.
//
//   - An image without a name (Keep) is an entry without the annotation, as image-layout.md allows: it
//     is known by its digest, and Prune keeps it until Drop.
//
// It refuses content whose digest or size is not the announced one, a blob that is a symbolic link,
// a FIFO or a directory, digests of unknown algorithms, and to make a store of a directory that has
// other files in it.
//
// It does not call fsync: content can be fetched again, and what a power failure damaged is found by
// its size, by whoever verifies while reading, and by Check. Checkpoints of an earlier boot are
// therefore not trusted; the bytes are hashed again.
package store
