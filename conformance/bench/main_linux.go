package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// options are the flags, and what follows from them.
type options struct {
	oci     string // absolute path of the binary under measurement; "" when there is none
	images  string // directory of OCI layouts, one a directory, tag latest
	scratch string // everything the run writes, but for
	cache   string // the images that are made once
	only    string
	quick   bool
}

func main() {
	if len(os.Args) == 4 && os.Args[1] == bareFetch {
		if err := hashWrite(os.Args[2], os.Args[3]); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	var o options
	flag.BoolVar(&o.quick, "quick", false, "few rounds: a rough answer in half a minute")
	flag.StringVar(&o.only, "only", "", "comma-separated part of: run,create,fetch,pull,unpack,big,engines,image,bundle,link (link only if it is named)")
	flag.StringVar(&o.oci, "oci", "bin/oci", "the binary to measure")
	flag.StringVar(&o.images, "images", "", "OCI layouts (default $OCI_TEST_IMAGES, then .cache/images)")
	flag.Parse()
	if err := run(context.Background(), o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("needs root: it makes containers with every namespace but user")
	}
	if err := hideHybrid(); err != nil {
		return err
	}
	if err := usePeers(); err != nil {
		return err
	}
	o.images = firstOf(o.images, os.Getenv("OCI_TEST_IMAGES"), ".cache/images")
	o.cache = ".cache/bench"
	for _, dir := range []*string{&o.images, &o.cache} {
		abs, err := filepath.Abs(*dir)
		if err != nil {
			return err
		}
		*dir = abs
	}
	var err error
	if o.oci, err = exec.LookPath(o.oci); err == nil {
		o.oci, err = filepath.Abs(o.oci)
	}
	if err != nil {
		o.oci = ""
	}
	if o.scratch, err = os.MkdirTemp(scratchParent(), "oci-bench-"); err != nil {
		return err
	}
	defer os.RemoveAll(o.scratch)
	return o.measure(ctx)
}

// scratchParent is $TMPDIR, or the machine's tmpfs when it has the room for an image three times:
// what a disk adds is the same for every tool, and hides what they differ in.
func scratchParent() string {
	const shm, room = "/dev/shm", 2 << 30
	var st unix.Statfs_t
	if os.Getenv("TMPDIR") == "" && unix.Statfs(shm, &st) == nil && st.Type == unix.TMPFS_MAGIC && int64(st.Bavail)*st.Bsize > room {
		return shm
	}
	return os.TempDir()
}

// measure runs the parts that were asked for and prints their rows as they come.
func (o options) measure(ctx context.Context) error {
	parts := []struct {
		name string
		make func(context.Context, options) ([]work, func(), error)
		long bool // only if it is named
	}{
		{name: "run", make: startWorks},
		{name: "create", make: createWorks},
		{name: "fetch", make: fetchWorks},
		{name: "pull", make: pullWorks},
		{name: "unpack", make: unpackWorks},
		{name: "big", make: bigWorks},
		{name: "engines", make: engineWorks},
		{name: "image", make: imageWorks},
		{name: "bundle", make: bundleWorks},
		{name: "link", make: linkWorks, long: true},
	}
	t := &table{out: os.Stdout}
	t.head(o)
	for _, part := range parts {
		if o.only == "" && part.long || o.only != "" && !strings.Contains(","+o.only+",", ","+part.name+",") {
			continue
		}
		works, done, err := part.make(ctx, o)
		if err != nil {
			t.note("%s: not measured: %v", part.name, err)
			continue
		}
		for _, w := range works {
			t.rows(w, w.interleave(ctx, o.quick))
		}
		if done != nil {
			done()
		}
	}
	t.foot()
	return nil
}

// env is the environment of the binary under measurement, with its store in root.
func (o options) env(root string) []string {
	return append(os.Environ(), "OCI_ROOT="+root)
}

// usePeers adds the directory of tools that are not installed: $OCI_PEERS, or what .ci/tools builds.
func usePeers() error {
	dir, err := filepath.Abs(firstOf(os.Getenv("OCI_PEERS"), ".cache/tools"))
	if err != nil {
		return err
	}
	return os.Setenv("PATH", os.Getenv("PATH")+string(os.PathListSeparator)+dir)
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}
