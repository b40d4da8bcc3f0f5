package main

import (
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-pipeline/oci/bundle/convert"
)

// etcFiles are the files that a container of an image gets from here, by their names in its directory:
// what the image has there, if anything, was true of the machine it was built on.
func etcFiles() []string { return []string{"hosts", "hostname", "resolv.conf"} }

// maxEtcFile bounds what is taken over of a file of the host.
const maxEtcFile = 1 << 20

// etcMounts shows the files of the directory in the container's /etc. What the user mounts there wins.
func (r *imageRun) etcMounts(readOnly bool) []specs.Mount {
	options := []string{"bind", "rprivate"}
	if readOnly {
		options = append(options, "ro")
	}
	var mounts []specs.Mount
	for _, name := range etcFiles() {
		mounts = append(mounts, specs.Mount{Destination: "/etc/" + name, Type: "bind", Source: r.dir.join(name), Options: options})
	}
	return mounts
}

// writeEtc writes the files that the spec mounts. A user who mounts a whole /etc has the files that are in
// it: the mounts are taken out then, as they would leave empty files in a directory of the host.
func (r *imageRun) writeEtc(o convert.Options) error {
	own := func(m specs.Mount) bool {
		return m.Type == "bind" && path.Dir(m.Source) == r.dir.path && slices.Contains(etcFiles(), path.Base(m.Source))
	}
	if slices.ContainsFunc(r.spec.Mounts, func(m specs.Mount) bool { return path.Clean(m.Destination) == "/etc" }) {
		r.spec.Mounts = slices.DeleteFunc(r.spec.Mounts, own)
		return nil
	}
	host := r.spec.Hostname
	if host == "" {
		host = strings.TrimSuffix(r.a.etcOf(o.UTS, "hostname"), "\n")
	}
	if host == "" {
		host, _ = os.Hostname() // an error leaves it empty
	}
	for _, m := range r.spec.Mounts {
		if !own(m) {
			continue
		}
		var text string
		switch name := path.Base(m.Source); {
		case name == "hostname":
			text = host + "\n"
		case r.a.etcOf(o.Network, name) != "":
			text = r.a.etcOf(o.Network, name)
		case name == "hosts":
			text = hostsFile(o.Network, host)
		case name == "resolv.conf":
			text = readHostFile("/etc/resolv.conf")
		}
		err := writePublic(m.Source, text)
		if uid, gid, ok := r.rootIDs(); ok && err == nil {
			err = os.Chown(m.Source, uid, gid) // root of the container may change it, as without id maps
		}
		if err != nil {
			return fmt.Errorf("run: %w", err)
		}
	}
	return nil
}

// etcOf gives a file that the container has whose namespace a flag names; "" without one. Who is on the network of another container
// knows what that one knows.
func (a *app) etcOf(flag, name string) string {
	container, ok := joins(flag)
	if !ok {
		return ""
	}
	id, err := a.fullID(container)
	if err != nil {
		return ""
	}
	dir, made := a.madeFromImage(id)
	if !made {
		return ""
	}
	return readHostFile(dir.join(name))
}

// localHosts is what every machine knows.
const localHosts = "127.0.0.1\tlocalhost\n" +
	"::1\tlocalhost ip6-localhost ip6-loopback\n" +
	"fe00::\tip6-localnet\n" +
	"ff00::\tip6-mcastprefix\n" +
	"ff02::1\tip6-allnodes\n" +
	"ff02::2\tip6-allrouters\n"

// hostsFile is /etc/hosts, see hosts(5): that of the host on the host's network, else the local names; and
// the container's own name.
func hostsFile(network, host string) string {
	text := localHosts
	if network == "host" {
		if own := readHostFile("/etc/hosts"); own != "" {
			text = strings.TrimSuffix(own, "\n") + "\n"
		}
	}
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		if f := strings.Fields(line); host == "" || len(f) > 1 && slices.Contains(f[1:], host) {
			return text
		}
	}
	return text + "127.0.0.1\t" + host + "\n"
}

// readHostFile gives a file of the host, "" if there is none or it is no small file: a container can do
// without.
func readHostFile(name string) string {
	f, err := os.Open(name)
	if err != nil {
		return ""
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxEtcFile+1))
	if err != nil || len(b) > maxEtcFile {
		return ""
	}
	return string(b)
}

// writePublic writes a file that everybody may read, whatever the umask.
func writePublic(name, text string) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Chmod(0o644); err != nil {
		return err
	}
	if _, err := f.WriteString(text); err != nil {
		return err
	}
	return f.Close()
}
