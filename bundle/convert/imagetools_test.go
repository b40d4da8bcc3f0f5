//go:build linux

package convert

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// TestImageToolsAgree: on images that umoci makes, the result is that of `oci-image-tool create`, the specification's own tool, but for
// what is explained below.
func TestImageToolsAgree(t *testing.T) {
	tool := filepath.Join(os.Getenv("OCI_PEERS"), "oci-image-tool")
	if _, err := os.Stat(tool); os.Getenv("OCI_PEERS") == "" || err != nil {
		t.Skip("oci-image-tool is not there (OCI_PEERS)")
	}
	if _, err := exec.LookPath("umoci"); err != nil {
		t.Skip("not installed: ", err)
	}
	layout := umociImages(t)
	compared, refused := 0, 0
	for tag, img := range tagged(t, layout) {
		theirs, out := imageToolSpec(t, tool, layout, tag)
		ours, err := Spec(img, files{"/etc/passwd": testPasswd, "/etc/group": testGroup}, Options{Host: testHost(), SecurityOpts: []string{"seccomp=unconfined"}, Terminal: true})
		switch {
		case theirs == nil && namedUser(img.Config.User) && strings.Contains(out, "config.User"):
			refused++ // it knows numbers alone; names SHOULD be resolved (IS-V3)
			continue
		case theirs != nil && err != nil && len(img.Config.Entrypoint)+len(img.Config.Cmd) == 0:
			continue // process.args is REQUIRED to start (runtime-spec config.md#process)
		case theirs != nil && errors.Is(err, ErrIDRange):
			continue // it lets ids wrap around (H-34)
		case theirs == nil || err != nil:
			if theirs != nil || err == nil {
				t.Errorf("%s: %s\nwe: %v", tag, out, err)
			}
			continue
		}
		compared++
		compareWithImageTools(t, tag, img, theirs, ours)
	}
	if compared < 8 || refused < 4 {
		t.Errorf("%d compared, %d of users by name", compared, refused)
	}
}

func compareWithImageTools(t *testing.T, tag string, img ispec.Image, theirs, ours *specs.Spec) {
	t.Helper()
	if d := cmp.Diff(theirs.Process.Args, ours.Process.Args); d != "" {
		t.Errorf("%s: args: %s", tag, d)
	}
	if want := filepath.Join("/", theirs.Process.Cwd); want != ours.Process.Cwd { // ".." is resolved before a runtime makes the directory
		t.Errorf("%s: cwd %s, want %s", tag, ours.Process.Cwd, want)
	}
	// The image's own come first, verbatim (IS-V1); it adds no defaults, which a converter MAY.
	if env := ours.Process.Env; len(env) < len(theirs.Process.Env) || !slices.Equal(env[:len(theirs.Process.Env)], theirs.Process.Env) {
		t.Errorf("%s: env %q, they %q", tag, env, theirs.Process.Env)
	}
	// The group of a user alone is that of /etc/passwd (image-spec config.md, User), which it does not read; we find none for 4000.
	if theirs.Process.User.GID == 0 && img.Config.User == "1000" {
		theirs.Process.User.GID = 1001
	}
	if theirs.Process.User.UID != ours.Process.User.UID || theirs.Process.User.GID != ours.Process.User.GID {
		t.Errorf("%s: user %+v, they %+v", tag, ours.Process.User, theirs.Process.User)
	}
	// It writes no annotations, which conversion.md asks for since 1.0 (IS-V2); and mounts each volume as a tmpfs, where we leave the
	// directory alone unless the caller has one: conversion.md asks for a mount point (IS-V4).
	for _, m := range theirs.Mounts {
		_, volume := img.Config.Volumes[m.Destination]
		if !volume && !slices.ContainsFunc(ours.Mounts, func(o specs.Mount) bool { return o.Destination == m.Destination }) {
			t.Errorf("%s: only they mount %s", tag, m.Destination)
		}
	}
}

// namedUser tells whether a user is given by a name.
func namedUser(user string) bool {
	return strings.Trim(user, "0123456789:") != ""
}

// imageToolSpec gives the config that the tool makes, or what it said. It takes a layout of one image only.
func imageToolSpec(t *testing.T, tool, layout, tag string) (*specs.Spec, string) {
	t.Helper()
	dir := t.TempDir()
	raw, err := os.ReadFile(filepath.Join(layout, "index.json"))
	must(t, err)
	var index ispec.Index
	must(t, json.Unmarshal(raw, &index))
	index.Manifests = slices.DeleteFunc(index.Manifests, func(d ispec.Descriptor) bool { return d.Annotations[ispec.AnnotationRefName] != tag })
	raw, err = json.Marshal(index)
	must(t, err)
	one := filepath.Join(dir, "one")
	must(t, os.CopyFS(one, os.DirFS(layout)))
	must(t, os.WriteFile(filepath.Join(one, "index.json"), raw, 0o644))
	out, err := exec.CommandContext(t.Context(), tool, "create", "--ref", "name="+tag, one, filepath.Join(dir, "bundle")).CombinedOutput()
	if err != nil {
		return nil, string(out)
	}
	raw, err = os.ReadFile(filepath.Join(dir, "bundle", "config.json"))
	must(t, err)
	s := new(specs.Spec)
	must(t, json.Unmarshal(raw, s))
	return s, string(out)
}
