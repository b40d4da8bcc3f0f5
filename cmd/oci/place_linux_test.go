package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestCopy_every_pair copies an image from each kind of place to each. No byte of it changes, but that a
// docker-archive has no manifest: there the config stays, and with it the image's ID.
func TestCopy_every_pair(t *testing.T) {
	images, home := testImages(t), t.TempDir()
	url, _ := startServe(t, "--writable", filepath.Join(home, "served"))
	registry := strings.TrimPrefix(url, "http://")
	layout := "oci:" + images + "/busybox:latest"
	place := func(kind, name string) string {
		switch kind {
		case "registry":
			return registry + "/" + name + ":1"
		case "store":
			return "store:example.org/" + name + ":1"
		case "dir":
			return "dir:" + name
		case "docker-archive":
			return "docker-archive:" + name + ".tar:example.org/" + name + ":1"
		case "oci-archive":
			return "oci-archive:" + name + ".oci.tar:1"
		}
		return kind + ":" + name + ":1"
	}
	kinds := []string{"registry", "store", "oci", "oci-archive", "docker-archive", "dir"}
	config := mustRun(t, home, "config", "get", layout)
	manifest := mustRun(t, home, "manifest", "get", "--platform", "linux/amd64", layout)
	index := mustRun(t, home, "manifest", "get", layout)
	for _, from := range kinds {
		mustRun(t, home, "copy", "-q", "--platform", "linux/amd64", layout, place(from, "one-"+from))
		if from != "docker-archive" {
			mustRun(t, home, "copy", "-q", "--all-platforms", layout, place(from, "all-"+from))
		}
	}
	made := mustRun(t, home, "manifest", "get", place("docker-archive", "one-docker-archive"))
	for _, from := range kinds {
		for _, to := range kinds {
			t.Run(from+" to "+to, func(t *testing.T) {
				name := from + "-to-" + to
				mustRun(t, home, "copy", "-q", "--digestfile", "digest", place(from, "one-"+from), place(to, name))
				want := manifest
				if from == "docker-archive" || to == "docker-archive" {
					want = made // the one that is made of a docker-archive, always the same
				}
				if got := mustRun(t, home, "manifest", "get", place(to, name)); got != want {
					t.Errorf("the manifest is\n%s\nand was\n%s", got, want)
				}
				if got := mustRun(t, home, "config", "get", place(to, name)); got != config {
					t.Error("the config has changed")
				}
				if from == "docker-archive" || to == "docker-archive" {
					return
				}
				mustRun(t, home, "copy", "-q", "--all-platforms", "--preserve-digests", place(from, "all-"+from), place(to, "all-"+name))
				if got := mustRun(t, home, "manifest", "get", place(to, "all-"+name)); got != index {
					t.Error("the index has changed")
				}
			})
		}
	}
	if out := mustRun(t, home, "check"); !strings.Contains(out, "clean") {
		t.Error(out)
	}
}
