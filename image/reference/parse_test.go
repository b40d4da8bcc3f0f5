package reference

import (
	"errors"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

const (
	hex256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	at256  = "@sha256:" + hex256
)

func TestParse_DC01_DC02_normal_forms(t *testing.T) {
	for in, want := range map[string]string{
		"python":                               "docker.io/library/python:latest",
		"python:3.14":                          "docker.io/library/python:3.14",
		"docker://python":                      "docker.io/library/python:latest",
		"library/python":                       "docker.io/library/python:latest",
		"me/app":                               "docker.io/me/app:latest",
		"index.docker.io/python":               "docker.io/library/python:latest",
		"docker.io/a/b/c:t":                    "docker.io/a/b/c:t",
		"localhost/x":                          "localhost/x:latest",
		"localhost:5000/x:y":                   "localhost:5000/x:y",
		"127.0.0.1:5000/python:latest":         "127.0.0.1:5000/python:latest",
		"[::1]:5000/x":                         "[::1]:5000/x:latest",
		"ghcr.io/a/b" + at256:                  "ghcr.io/a/b" + at256,
		"ghcr.io/a/b:c" + at256:                "ghcr.io/a/b:c" + at256,
		"Host/x":                               "Host/x:latest",
		"a__b/c-d--e/f.g":                      "docker.io/a__b/c-d--e/f.g:latest",
		"oci:dir":                              "oci:dir",
		"oci:/a/b:tag":                         "oci:/a/b:tag",
		"oci:/a/b" + at256:                     "oci:/a/b" + at256,
		"oci:/a/b:tag" + at256:                 "oci:/a/b:tag" + at256,
		"oci:/root:docker.io/library/a:latest": "oci:/root:docker.io/library/a:latest",
		"oci:/home/me@host/dir:tag":            "oci:/home/me@host/dir:tag",
		"oci:dir:@3":                           "oci:dir:@3",
		"ocidir:///a:b":                        "oci:/a:b",
		"oci-archive:x.tar":                    "oci-archive:x.tar",
		"oci-archive:x.tar:v1_2":               "oci-archive:x.tar:v1_2",
		"docker-archive:x.tar:busybox":         "docker-archive:x.tar:docker.io/library/busybox:latest",
		"docker-archive:x.tar":                 "docker-archive:x.tar",
		"docker-archive:x.tar:@0":              "docker-archive:x.tar:@0",
		"dir:/a:b":                             "dir:/a:b",
		"oci+https://host/a/b":                 "oci+https://host/a/b",
		"oci+https://host:8443/a/b/:tag":       "oci+https://host:8443/a/b:tag",
		"oci+https://host":                     "oci+https://host/",
		"oci+https://host/:tag":                "oci+https://host/:tag",
		"oci+http://[::1]:80/a%3Ab:x/y:1":      "oci+http://[::1]:80/a%3Ab:x/y:1",
		"oci+https://h/a" + at256:              "oci+https://h/a" + at256,
		"oci+https://h/a:t" + at256:            "oci+https://h/a:t" + at256,
		"oci+https://h/a:@1":                   "oci+https://h/a:@1",
	} {
		got, err := Parse(in)
		if err != nil {
			t.Errorf("Parse(%q): %v", in, err)
			continue
		}
		if got.String() != want {
			t.Errorf("Parse(%q) = %q, want %q", in, got, want)
		}
		if again, err := Parse(want); err != nil || again != got {
			t.Errorf("Parse(%q) = %+v, %v, want %+v", want, again, err, got)
		}
	}
}

func TestParse_refuses(t *testing.T) {
	for _, in := range []string{
		"", ":", "@", "/", "a/", "/a", "a//b", "-a", "a-", "a.", "a..b", "a___b", "a._b", "A", "docker.io/A/b",
		"a:", "a:.b", "a:-b", "a:b/c:d:e", "a@", "a@sha256:", "a@sha256:ABC", "a@md5:d41d8cd98f00b204e9800998ecf8427e",
		"a@sha256:../../../etc/passwd" + strings.Repeat("0", 42), "a" + at256 + "x", "a" + strings.ToUpper(at256),
		"host:0/x", "host:99999/x", "host:+1/x", "ho_st.io/x", "[::1/x", "[fe80::1%25eth0]:5/x", "-h.io/x", "a b", "a\x1b[0m", "a\x00",
		"a:" + strings.Repeat("t", 129), "h.io/" + strings.Repeat("a", 251), strings.Repeat("a", 9000),
		"oci:", "oci::tag", "oci:dir@sha256:12", "oci:dir:a b", "docker-archive:f:UPPER", "dir:",
		"oci+https:host/a", "oci+https://", "oci+https:///a", "oci+https://user@host/a", "oci+https://h/a?b=c", "oci+https://h/a#b",
		"oci+https://h/../a", "oci+https://h/a//b", "oci+https://h/a%zz", "oci+https://h/a%2", "oci+https://h/a:x y", "oci+https://h/a@sha256:12",
	} {
		got, err := Parse(in)
		if !errors.Is(err, ErrSyntax) {
			t.Errorf("Parse(%q) = %+v, %v, want ErrSyntax", in, got, err)
		}
		if err != nil && len(err.Error()) > 2000 {
			t.Errorf("Parse of %d bytes: error of %d", len(in), len(err.Error()))
		}
	}
	for _, in := range []string{"docker-daemon:x", "containers-storage:x", "http://x/y"} {
		if _, err := Parse(in); !errors.Is(err, ErrTransport) {
			t.Errorf("Parse(%q): %v, want ErrTransport", in, err)
		}
	}
}

func TestParse_IPv6(t *testing.T) {
	for addr, want := range map[string]bool{
		"::1": true, "::": true, "1::": true, "fe80::1": true, "1:2:3:4:5:6:7:8": true, "1:2:3::5:6:7:8": true, "2001:DB8::a": true,
		"": false, ":": false, ":::": false, "1": false, "1:2:3:4:5:6:7": false, "1:2:3:4:5:6:7:8:9": false, "1:2:3:4::5:6:7:8": false,
		"1::2::3": false, "12345::": false, "g::": false, "fe80::1%eth0": false, ":1:2:3:4:5:6:7:8": false, "::1:": false, "::127.0.0.1": false,
	} {
		if _, err := Parse("[" + addr + "]:5000/x"); (err == nil) != want {
			t.Errorf("%q: %v, want %v", addr, err, want)
		}
	}
}

func TestRef_parts(t *testing.T) {
	r, err := Parse("localhost:5000/a/b:c")
	if err != nil {
		t.Fatal(err)
	}
	if r.Registry != "localhost:5000" || r.Repository != "a/b" || r.Tag != "c" || r.Name() != "localhost:5000/a/b" || r.Reference() != "c" {
		t.Errorf("parts of %+v", r)
	}
	d := digest.Digest("sha256:" + hex256)
	if r := r.WithDigest(d); r.Reference() != d.String() || r.String() != "localhost:5000/a/b"+at256 {
		t.Errorf("WithDigest: %s", r)
	}
}

// FuzzParse: what Parse accepts has a normal form, and that is a fixed point.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"python", "h.io:1/a/b:c" + at256, "oci:d:t", "oci-archive:f:@1", "docker-archive:f:a/b:c", "dir:x", "ocidir://x@y:z", "[::1]:1/a", "oci+https://h:1/a/b:t" + at256, "oci+http://h/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := Parse(s)
		if err != nil {
			if !errors.Is(err, ErrSyntax) && !errors.Is(err, ErrTransport) {
				t.Fatalf("%q: error of no kind: %v", s, err)
			}
			return
		}
		again, err := Parse(r.String())
		if err != nil || again != r {
			t.Fatalf("Parse(%q) = %+v; of its String %q: %+v, %v", s, r, r, again, err)
		}
		if r.Transport == Registry && (r.Name() == "" || r.Reference() == "" || strings.Contains(r.Name(), "..")) {
			t.Fatalf("%q gives %+v", s, r)
		}
	})
}
