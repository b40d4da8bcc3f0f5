package interop_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
)

// client is a tool that moves images between layouts and registries.
type client struct {
	name string
	// push and pull give command lines that move all of what dir:tag, or ref at host, is.
	push, pull func(host, ref, dir string) []string
	// cannot names what the tool is not made for, with the reason: a sample, or "push sample".
	cannot map[string]string
}

func clients() []client {
	return []client{
		{
			name: "oci",
			push: func(_, ref, dir string) []string {
				return []string{"oci", "copy", "-q", "--all-platforms", "--referrers", "oci:" + dir + ":" + tag, ref}
			},
			pull: func(_, ref, dir string) []string {
				return []string{"oci", "copy", "-q", "--all-platforms", ref, "oci:" + dir + ":" + tag}
			},
		},
		{
			name: "skopeo",
			push: func(_, ref, dir string) []string {
				return []string{"skopeo", "--insecure-policy", "copy", "-q", "--all", "--preserve-digests", "--dest-tls-verify=false", "oci:" + dir + ":" + tag, "docker://" + ref}
			},
			pull: func(_, ref, dir string) []string {
				return []string{"skopeo", "--insecure-policy", "copy", "-q", "--all", "--preserve-digests", "--src-tls-verify=false", "docker://" + ref, "oci:" + dir + ":" + tag}
			},
			cannot: map[string]string{
				"docker": "a layout of skopeo holds OCI manifests only", "sha512": "skopeo knows sha256 only", "artifact": "skopeo 1.9 wants layers of images",
				"referrers": "skopeo carries none",
			},
		},
		{
			name: "crane",
			push: func(_, ref, dir string) []string { return []string{"crane", "push", dir, ref} },
			pull: func(_, ref, dir string) []string {
				return []string{"crane", "pull", "--format", "oci", "--annotate-ref", ref, dir}
			},
			cannot: map[string]string{"push signed": "crane pushes layouts that have one entry", "sha512": "crane names what a tag leads to by sha256"},
		},
		{
			name: "regctl",
			push: func(host, ref, dir string) []string {
				return []string{"regctl", "--host", "reg=" + host + ",tls=disabled", "image", "copy", "--referrers", "ocidir://" + dir + ":" + tag, ref}
			},
			pull: func(host, ref, dir string) []string {
				return []string{"regctl", "--host", "reg=" + host + ",tls=disabled", "image", "copy", ref, "ocidir://" + dir + ":" + tag}
			},
			cannot: map[string]string{"referrers": "in a layout regctl knows the tag schema only"},
		},
		{
			name: "oras",
			push: func(_, ref, dir string) []string {
				return []string{"oras", "cp", "--no-tty", "-r", "--from-oci-layout", "--to-plain-http", dir + ":" + tag, ref}
			},
			pull: func(_, ref, dir string) []string {
				return []string{"oras", "cp", "--no-tty", "--from-plain-http", "--to-oci-layout", ref, dir + ":" + tag}
			},
			cannot: map[string]string{"push sha512": "oras pushes by tag alone, which gives a sha256"},
		},
	}
}

// TestInterop_registry: through each server, every client writes what we read, and reads what we wrote.
func TestInterop_registry(t *testing.T) {
	for _, kind := range []string{"oci", "docker-registry", "registry3"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			host := server(t, kind)
			for _, s := range samples(t) {
				if s.name == "sha512" && kind != "oci" {
					t.Logf("%s gives everything a sha256", kind)
					continue
				}
				s = s.ours(t)
				ours := host + "/ours/" + s.name + ":" + tag
				run(t, home(t), clients()[0].push(host, ours, s.dir)...)
				for _, c := range clients() {
					t.Run(s.name+"/"+c.name, func(t *testing.T) { exchange(t, c, s, host, ours) })
				}
			}
		})
	}
}

// named is the name in a layout that c writes when it pulls ref.
func (c client) named(ref string) string {
	if c.name == "crane" {
		return ref
	}
	return tag
}

// exchange lets c read ours, and write what we read.
func exchange(t *testing.T, c client, s sample, host, ours string) {
	program(t, c.name)
	if why := c.cannot[s.name]; why != "" {
		t.Logf("not tried: %s", why)
		return
	}
	env := home(t)
	read := filepath.Join(t.TempDir(), "read")
	run(t, env, c.pull(host, ours, read)...)
	check(t, holds(read, s.top))
	if got := run(t, env, "oci", "digest", "oci:"+read+":"+c.named(ours)); !strings.HasPrefix(got, s.top.Digest.String()) {
		t.Errorf("the digest of what %s pulled is %s, want %s", c.name, got, s.top.Digest)
	}
	if why := c.cannot["push "+s.name]; why != "" {
		t.Logf("not tried: %s", why)
		return
	}
	theirs := host + "/" + c.name + "/" + s.name + ":" + tag
	run(t, env, c.push(host, theirs, s.dir)...)
	if got := run(t, env, "oci", "digest", theirs); !strings.HasPrefix(got, s.top.Digest.String()) {
		t.Errorf("the digest of what %s pushed is %s, want %s", c.name, got, s.top.Digest)
	}
	back := filepath.Join(t.TempDir(), "back")
	run(t, env, "oci", "copy", "-q", "--all-platforms", theirs, "oci:"+back+":"+tag)
	check(t, holds(back, s.top))
	if s.artifacts > 0 && c.cannot["referrers"] == "" {
		wantReferrers(t, env, theirs, s)
	}
}

// wantReferrers asks us, and oras and regctl, what refers to ref.
func wantReferrers(t *testing.T, env []string, ref string, s sample) {
	t.Helper()
	var list struct {
		Referrers []struct{ ArtifactType string }
	}
	out := run(t, env, "oci", "referrers", "--format", "json", ref)
	if err := json.Unmarshal([]byte(out), &list); err != nil || len(list.Referrers) != s.artifacts {
		t.Errorf("oci referrers %s: %v %s", ref, err, out)
	}
	host, _, _ := strings.Cut(ref, "/")
	for _, argv := range [][]string{
		{"oras", "discover", "--plain-http", "--format", "json", ref},
		{"regctl", "--host", "reg=" + host + ",tls=disabled", "artifact", "list", "--format", "{{json .}}", ref},
	} {
		out := run(t, env, argv...)
		for _, kind := range []string{"application/vnd.example.sbom", "application/vnd.example.signature"} {
			if !strings.Contains(out, kind) {
				t.Errorf("%s: no %s in %s", argv[0], kind, out)
			}
		}
	}
}
