package interop_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// archiver is a tool that keeps an image in one file.
type archiver struct {
	name, form string // form is oci-archive or docker-archive
	// write makes file of the image in the layout dir; read gives the image in file to the layout dir.
	write, read func(t *testing.T, env []string, dir, file string)
}

const named = "example.com/some/app:" + tag

func archivers() []archiver {
	skopeo := []string{"skopeo", "--insecure-policy", "copy", "-q", "--preserve-digests"}
	var list []archiver
	for _, form := range []string{"oci-archive", "docker-archive"} {
		list = append(list, archiver{
			"skopeo", form,
			func(t *testing.T, env []string, dir, file string) {
				name := tag
				if form == "docker-archive" {
					name = named
				}
				run(t, env, append(skopeo[:4:4], "oci:"+dir+":"+tag, form+":"+file+":"+name)...)
			},
			func(t *testing.T, env []string, dir, file string) {
				args := skopeo
				if form == "docker-archive" {
					args = skopeo[:4] // it makes a manifest of its own
				}
				run(t, env, append(args[:len(args):len(args)], form+":"+file, "oci:"+dir+":"+tag)...)
			},
		}, podman(form))
	}
	return append(list, archiver{
		"regctl", "oci-archive",
		func(t *testing.T, env []string, dir, file string) {
			run(t, env, "regctl", "image", "export", "ocidir://"+dir+":"+tag, file)
		},
		func(t *testing.T, env []string, dir, file string) {
			run(t, env, "regctl", "image", "import", "ocidir://"+dir+":"+tag, file)
		},
	}, archiver{
		"crane", "docker-archive",
		func(t *testing.T, env []string, dir, file string) {
			host := server(t, "oci")
			run(t, env, "oci", "copy", "-q", "oci:"+dir+":"+tag, host+"/a/b:"+tag)
			run(t, env, "crane", "pull", host+"/a/b:"+tag, file)
		},
		func(t *testing.T, env []string, dir, file string) {
			host := server(t, "oci")
			run(t, env, "crane", "push", file, host+"/a/b:"+tag)
			run(t, env, "oci", "copy", "-q", host+"/a/b:"+tag, "oci:"+dir+":"+tag)
		},
	})
}

// podmanArgs is podman with storage of its own.
func podmanArgs(t *testing.T) []string {
	t.Helper()
	program(t, "podman")
	if os.Geteuid() != 0 {
		t.Skip("podman without root enters a user namespace of its own: needs root")
	}
	dir, err := os.MkdirTemp("", "oci-pm") // a runroot has 50 characters at most
	check(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return []string{
		"podman", "--root", filepath.Join(dir, "root"), "--runroot", filepath.Join(dir, "run"), "--storage-driver", "vfs",
		"--cgroup-manager", "cgroupfs", "--events-backend", "none",
	}
}

func podman(form string) archiver {
	return archiver{
		"podman", form,
		func(t *testing.T, env []string, dir, file string) {
			p := podmanArgs(t)
			lower := p[2] + "-image" // it makes a name of the path, in which there are no capitals
			check(t, os.Symlink(dir, lower))
			id := run(t, env, append(p, "pull", "-q", "oci:"+lower+":"+tag)...)
			run(t, env, append(p, "tag", id, named)...)
			run(t, env, append(p, "save", "-q", "--format", form, "-o", file, named)...)
		},
		func(t *testing.T, env []string, dir, file string) {
			p := podmanArgs(t)
			out := run(t, env, append(p, "load", "-q", "-i", file)...)
			_, name, ok := strings.Cut(out, "Loaded image: ")
			if !ok {
				t.Fatalf("podman load says %q", out)
			}
			run(t, env, append(p, "push", "-q", name, "oci:"+dir+":"+tag)...)
		},
	}
}

// TestInterop_archive: an image keeps its ID, the digest of its config, through archives that we or others
// write and others or we read; through an oci-archive also the digest of its manifest, but with podman,
// which compresses anew.
func TestInterop_archive(t *testing.T) {
	for _, s := range samples(t) {
		if !s.platform || s.name == "index" || s.name == "zstd" || s.name == "plain" {
			continue
		}
		for _, a := range archivers() {
			t.Run(a.form+"/"+s.name+"/"+a.name, func(t *testing.T) {
				t.Parallel()
				program(t, a.name)
				if s.name == "docker" && a.name != "regctl" {
					t.Log("not tried: layouts with Docker's manifests are not read by it")
					return
				}
				env := home(t)
				id := config(t, s.dir, s.top).Digest
				same := a.form == "oci-archive" && a.name != "podman"
				theirs, got := filepath.Join(t.TempDir(), "theirs.tar"), filepath.Join(t.TempDir(), "got")
				a.write(t, env, s.dir, theirs)
				run(t, env, "oci", "copy", "-q", a.form+":"+theirs, "oci:"+got+":"+tag)
				if same {
					check(t, holds(got, s.top))
				}
				check(t, prove(got, only(t, got)))
				if has := config(t, got, only(t, got)).Digest; has != id {
					t.Errorf("we read the image %s of %s's archive, want %s", has, a.name, id)
				}
				ours, read := filepath.Join(t.TempDir(), "ours.tar"), filepath.Join(t.TempDir(), "read")
				name := tag
				if a.form == "docker-archive" {
					name = named
				}
				run(t, env, "oci", "copy", "-q", "oci:"+s.dir+":"+tag, a.form+":"+ours+":"+name)
				a.read(t, env, read, ours)
				if same {
					check(t, holds(read, s.top))
				}
				check(t, prove(read, only(t, read)))
				if has := config(t, read, only(t, read)).Digest; has != id {
					t.Errorf("%s read the image %s of our archive, want %s", a.name, has, id)
				}
			})
		}
	}
}

// TestInterop_umoci: it reads layouts of ours, and we what it made of them.
func TestInterop_umoci(t *testing.T) {
	program(t, "umoci")
	for _, s := range samples(t) {
		if s.name != "gzip" && s.name != "plain" {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			env, s := home(t), s.ours(t)
			if out := run(t, env, "umoci", "stat", "--json", "--image", s.dir+":"+tag); !strings.Contains(out, `"created_by":"two"`) {
				t.Errorf("umoci stat: %s", out)
			}
			if os.Geteuid() == 0 {
				b := filepath.Join(t.TempDir(), "bundle")
				run(t, env, "umoci", "unpack", "--image", s.dir+":"+tag, b)
				if _, err := os.Stat(filepath.Join(b, "rootfs/file-two amd64")); err != nil {
					t.Error(err)
				}
				check(t, os.WriteFile(filepath.Join(b, "rootfs/new"), []byte("new"), 0o644))
				run(t, env, "umoci", "repack", "--image", s.dir+":changed", b)
			} else {
				run(t, env, "umoci", "config", "--image", s.dir+":"+tag, "--tag", "changed", "--author", "somebody")
			}
			run(t, env, "umoci", "gc", "--layout", s.dir)
			got := filepath.Join(t.TempDir(), "got")
			run(t, env, "oci", "copy", "-q", "oci:"+s.dir+":changed", "oci:"+got+":"+tag)
			check(t, prove(got, only(t, got)))
			if only(t, got).Digest == s.top.Digest {
				t.Error("umoci changed nothing")
			}
			run(t, env, "oci", "copy", "-q", "oci:"+s.dir+":"+tag, "oci:"+got+":old") // still there
		})
	}
}
