package main

import (
	"testing"

	"github.com/oci-pipeline/oci/image/reference"
)

func TestStoreNaming(t *testing.T) {
	n := storeNaming{base: "layout"}
	for name, want := range map[string][2]string{
		"docker.io/library/debian:12":    {"library/debian", "12"},
		"127.0.0.1:5000/python:latest":   {"python", "latest"},
		"localhost/a/b:c":                {"a/b", "c"},
		"team/app:1":                     {"team/app", "1"},
		"latest":                         {"layout", "latest"},
		"oci:/some/dir:latest":           {},
		"docker.io/library/debian":       {},
		"":                               {},
		"docker-archive:/x/y.tar:name:1": {},
	} {
		repo, ref, ok := n.Split(name)
		if !ok {
			repo, ref = "", ""
		}
		if got := [2]string{repo, ref}; got != want {
			t.Errorf("%q: got %q, want %q", name, got, want)
		}
	}
}

func TestImportName(t *testing.T) {
	for text, want := range map[string]string{
		"docker-archive:/x/d.tar:example/app:2": "docker.io/example/app:2",
		"oci-archive:/x/Python.oci.tar:latest":  "docker.io/library/python:latest",
		"oci:/x/busybox:amd64":                  "docker.io/library/busybox:amd64",
		"oci:/x/busybox":                        "docker.io/library/busybox:latest",
	} {
		ref, err := reference.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := importName(ref); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}
