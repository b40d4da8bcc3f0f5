// Package mirrorconfig decides which hosts are asked for an image, from the two files in which
// people write that down: containers' registries.conf (version 2, with its drop-ins) and
// containerd's hosts.toml.
//
// registries.conf speaks first: the entry with the longest prefix that matches a reference blocks
// it, rewrites where it leads, and names mirrors to try before. What it leaves as the place of the
// registry is then looked up in the directories of hosts.toml, which may put more mirrors in front
// and says how each host is reached. The registry itself comes last.
//
// Both files are decoded strictly. A key that nothing understands is an error that names file and
// line: in TOML a key written after a [[table]] belongs to that table, and tools that skip what
// they do not know make of it a setting that silently does not apply.
//
// A mirror is another party than the registry it stands in for: an Endpoint says whose credentials
// go there, and those of the registry never go to a mirror (distribution-spec, "Registry Proxying").
package mirrorconfig
