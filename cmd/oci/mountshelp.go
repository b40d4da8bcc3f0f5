package main

import "github.com/spf13/cobra"

// mountsTopic is a topic of `oci help` and does nothing.
func mountsTopic(*app) *cobra.Command {
	return &cobra.Command{Use: "mounts", Short: "What --mount, --volume and --tmpfs take, and what volumes are", Long: `These flags take what Docker and podman take.

  -v, --volume [SOURCE:]DIR[:OPTIONS]   SOURCE with a slash is a path of the host, else the name of a volume
  --tmpfs DIR[:OPTIONS]                 memory, for what need not be kept
  --volumes-from ID[:ro]                what another container has: its volumes, and directories of the host
  --mount KEY=VALUE,...                 all there is; a value with a comma is quoted as in CSV

Keys of --mount:

  type              bind, volume (the default), tmpfs, image, devpts, ramfs
  source, src       of bind a path of the host, of volume a name or nothing, of image a name as for ` + "`oci run`" + `
  target, dst       where in the container: an absolute path, without ".."
  ro, readonly      cannot be written to
  bind-propagation  private, slave, shared, unbindable, each with r for the mounts below too (rprivate)
  bind-recursive    enabled; disabled (bind-nonrecursive): without the mounts below; readonly: those are read-only
                    too; writable: they are as they are
  idmap             files have in the container the ids that they have on disk; or those of
                    idmap=uids=FROM-TO-NUMBER[#...];gids=..., where TO is an id of the host, with @FROM of the container
  U, chown          give the files to the user of the container first
  volume-nocopy     do not fill the volume; volume-subpath=PATH (subpath) mounts a part of it
  rw                of an image: let it be written to, for this container; image-subpath=PATH (subpath), a part of it
  tmpfs-size, tmpfs-mode, uid, gid   of a tmpfs; tmpcopyup: begin with what the image has there
  uid, gid, mode, max                of devpts
  suid, nosuid, dev, nodev, exec, noexec, noatime, nosymfollow, ...

Options of --volume: ro, rw, rro, bind, rbind, the propagations, nocopy, idmap[=...], U, O (what is written to
the directory of the host is kept with the container, or in upperdir=,workdir=; not for bundles), nosuid and the like. Those of
--tmpfs: ro, size, mode, uid, gid, nr_inodes, tmpcopyup, exec and the like; without, noexec, nosuid, nodev.

Where Docker and podman differ: a source that is missing is an error and is not made (podman); ro does not reach
the mounts below (podman; rro does); a tmpfs begins empty (Docker). z, Z, relabel and consistency have no effect.
Nothing but a bind mount may be at /proc.

A volume is a directory of the store (` + "`oci volume`" + `). Its first container fills it with what the image has at its place.
One that has no name, as those that the image says (VOLUME), is made for the container, goes with it under --rm and
` + "`oci rm -v`" + `, and stays otherwise until ` + "`oci volume prune`" + `. Under --uid-map its files have the ids of the container.

` + "`oci bundle`" + ` makes volumes, and unpacks images, in the bundle, so that every runtime can mount them.`}
}
