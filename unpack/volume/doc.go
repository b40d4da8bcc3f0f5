// Package volume keeps directories that outlive the containers that write to them.
//
// A volume is volumes/<name>/ of a store, and holds data/ (what is mounted), volume.json (what the volume is) and
// users/ (a file for each container that has it, by ID). [Store.Use] gives one to a container, and makes it if need be.
//
// # Filling
//
// A volume that no container has had is filled, if it is empty, with what the root file system of the first one has at
// the destination: names, types, owners, modes, times, links, holes, extended attributes and content, and the
// attributes of the directory itself (image-spec conversion.md: "MAY provide a mechanism for initially populating
// the volumes"). The destination is looked up inside the root, links included. Ids are those that the root file system
// shows, so those of the container's user namespace; a volume that is not filled belongs to the container's root.
//
// The copy is made beside the volume and renamed into place: half of one is never seen, and a process that dies leaves
// what [Store.Prune] removes. Several that fill one volume at once copy each for itself, and the first has it. A
// directory that a container has is never replaced.
//
// # What is refused
//
// A name that is no name ([ValidName]); a volume whose directory or data is a link or no directory; a destination that is
// no directory; to remove a volume that a container has.
package volume
