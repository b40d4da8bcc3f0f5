package blackbox_test

import (
	"archive/tar"
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// imageKind is an image of some kind, and what its program must see in the bundle of it, whichever runtime runs that.
type imageKind struct {
	name   string
	from   string      // a test image; "" is an image without layers
	config []string    // what umoci writes into its config
	layer  []tarEntry  // one more layer
	copied []string    // how skopeo copies it to a directory, which is taken then
	flags  []string    // of oci bundle
	args   []string    // after the directory
	want   string      // the whole output; "" is only compared between runtimes
	status int         // of the program
	holds  [][2]string // what config.json says: a line of `jq -r`, and its result
}

// tarEntry is a file of a layer: a directory if its name ends in "/", a link if it has a target.
type tarEntry struct {
	name, text, link string
	mode             int64
	uid, gid         int
}

// sh is the config of an image that runs a script, by the form that most images have.
func sh(script string, more ...string) []string {
	return append([]string{"--clear=config.entrypoint", "--clear=config.cmd", "--config.cmd", "sh", "--config.cmd", "-c", "--config.cmd", script}, more...)
}

const ids = `echo $(id -u):$(id -g) $(id -G)`

// userFiles are an image's users beside those of its base.
func userFiles() []tarEntry {
	return []tarEntry{
		{name: "etc/passwd", text: "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\napp:x:1000:1001:app:/home/app:/bin/sh\n", mode: 0o644},
		{name: "etc/group", text: "root:x:0:\napp:x:1001:\nextra:x:2000:nobody,app\nmore:x:2001:app\n", mode: 0o644},
	}
}

// imageKinds are the forms of images: of their manifests, layers and files, and of every field of a config.
func imageKinds(t *testing.T) []imageKind {
	program, err := os.ReadFile("/bin/busybox")
	if err != nil {
		t.Skipf("needs busybox-static: %v", err)
	}
	alone := []tarEntry{{name: "busybox", text: string(program), mode: 0o755}}
	return []imageKind{
		{name: "index", from: "busybox", args: []string{"sh", "-c", "uname -s; ls /proc/self/exe"}, want: "Linux\n/proc/self/exe\n"},
		{name: "manifest-list", from: "busybox-list", args: []string{"echo", "hi"}, want: "hi\n"},
		{name: "docker-schema-2", from: "debian-v2s2", args: []string{"sh", "-c", ". /etc/os-release; echo $ID; exit 7"}, want: "debian\n", status: 7},
		{name: "gzip", from: "python", args: []string{"hello"}},
		{name: "zstd", from: "busybox", copied: []string{"--dest-compress", "--dest-compress-format", "zstd"}, args: []string{"echo", "zstd"}, want: "zstd\n"},
		{name: "uncompressed", from: "busybox", copied: []string{"--dest-decompress"}, args: []string{"echo", "plain"}, want: "plain\n"},
		{name: "docker-directory", from: "busybox", copied: []string{"--format", "v2s2"}, args: []string{"echo", "docker"}, want: "docker\n"},
		{name: "one-static-file", layer: alone, config: []string{"--config.entrypoint", "/busybox", "--config.cmd", "echo", "--config.cmd", "alone"}, want: "alone\n"},
		{name: "no-command", layer: alone, args: []string{"/busybox", "pwd"}, want: "/\n"},
		{name: "entrypoint-and-cmd", from: "busybox", config: []string{"--clear=config.cmd", "--config.entrypoint", "echo", "--config.entrypoint", "a b", "--config.cmd", "$HOME"}, want: "a b $HOME\n"},
		{name: "cmd-replaced", from: "busybox", config: []string{"--clear=config.cmd", "--config.entrypoint", "echo", "--config.cmd", "old"}, args: []string{"new", "words"}, want: "new words\n"},
		{name: "uid", from: "busybox", config: sh(ids, "--config.user", "4321"), want: "4321:0 0\n"},
		{name: "uid-gid", from: "busybox", config: sh(ids, "--config.user", "4321:8765"), want: "4321:8765 8765\n"},
		{name: "user-name", from: "busybox", layer: userFiles(), config: sh(ids+"; echo $HOME", "--config.user", "app"), want: "1000:1001 1001 2000 2001\n/home/app\n"},
		{name: "user-and-group-name", from: "busybox", layer: userFiles(), config: sh(ids, "--config.user", "app:more"), want: "1000:2001 2001\n"},
		{name: "user-name-and-gid", from: "busybox", layer: userFiles(), config: sh(ids, "--config.user", "nobody:7"), want: "65534:7 7\n"},
		{name: "workdir-is-made", from: "busybox", config: sh("pwd; ls -A | wc -l", "--config.workingdir", "/made/for it"), want: "/made/for it\n0\n"},
		{name: "workdir-through-link", from: "busybox", layer: []tarEntry{{name: "opt/real/", mode: 0o755}, {name: "link", link: "/opt/real"}}, config: sh("pwd -P", "--config.workingdir", "/link"), want: "/opt/real\n"},
		{
			name: "volumes", from: "busybox", layer: []tarEntry{{name: "srv/data/", mode: 0o750, uid: 1000, gid: 1001}, {name: "srv/data/seed", text: "seeded\n", mode: 0o640, uid: 1000, gid: 1001}},
			config: sh("cat /srv/data/seed; stat -c '%a %u:%g' /srv/data /srv/data/seed; echo x >/srv/data/new && ls /srv/data; ls -A /cache | wc -l", "--config.volume", "/srv/data", "--config.volume", "/cache"),
			want:   "seeded\n750 1000:1001\n640 1000:1001\nnew\nseed\n0\n",
		},
		{
			name: "environment", from: "busybox", config: sh(`env | grep -a -e ^PATH -e ^ODD -e ^EMPTY -e ^UTF | sort`, "--clear=config.env", "--config.env", "PATH=/bin:/x y", "--config.env", "ODD=a=b $c\"'", "--config.env", "EMPTY=", "--config.env", "UTF=ünï🐳"),
			want: "EMPTY=\nODD=a=b $c\"'\nPATH=/bin:/x y\nUTF=ünï🐳\n",
		},
		{
			name: "labels-and-ports", from: "busybox", config: sh("echo up", "--config.label", "com.example.note=a b", "--config.exposedports", "80/tcp", "--config.exposedports", "53/udp", "--config.stopsignal", "SIGQUIT", "--author", "somebody"), want: "up\n",
			holds: [][2]string{
				{`.annotations["com.example.note"]`, "a b"},
				{`.annotations["org.opencontainers.image.exposedPorts"] | split(",") | sort | join(" ")`, "53/udp 80/tcp"},
				{`.annotations["org.opencontainers.image.stopSignal"]`, "SIGQUIT"},
				{`.annotations["org.opencontainers.image.author"]`, "somebody"},
			},
		},
		{name: "whiteouts", from: "busybox", layer: []tarEntry{{name: "etc/.wh.passwd", mode: 0o644}, {name: "usr/.wh..wh..opq", mode: 0o644}, {name: "usr/only", text: "x"}}, config: sh("ls /etc/passwd 2>/dev/null; ls -A /usr"), want: "only\n"},
		{name: "modes", from: "busybox", layer: []tarEntry{{name: "t/", mode: 0o1777}, {name: "t/setuid", mode: 0o4755, uid: 7, gid: 8}, {name: "t/setgid", mode: 0o2711, uid: 3000000, gid: 3000001}, {name: "t/none"}}, config: sh("stat -c '%n %a %u:%g' /t /t/*"), want: "/t 1777 0:0\n/t/none 0 0:0\n/t/setgid 2711 3000000:3000001\n/t/setuid 4755 7:8\n"},
		{name: "read-only", from: "busybox", config: sh("touch /x 2>/dev/null || echo refused; echo y >/tmp/y && cat /tmp/y"), flags: []string{"--read-only", "--tmpfs", "/tmp"}, want: "refused\ny\n"},
		{name: "links-for-directories", from: "busybox", layer: []tarEntry{{name: "etc/resolv.conf", link: "/run/nowhere"}, {name: "var/run", link: "../run"}, {name: "run/", mode: 0o755}}, config: sh("readlink /etc/resolv.conf; readlink /var/run; ls -A /run"), want: "/run/nowhere\n../run\n"},
		{name: "script", from: "busybox", layer: []tarEntry{{name: "start", text: "#!/bin/sh\necho \"$0 $*\"\n", mode: 0o755}}, config: []string{"--clear=config.cmd", "--config.entrypoint", "/start", "--config.cmd", "1", "--config.cmd", "2 3"}, want: "/start 1 2 3\n"},
		{name: "long-argument", from: "busybox", args: []string{"sh", "-c", "echo ${#1}", "sh", strings.Repeat("x", 100<<10)}, want: "102400\n"},
	}
}

// TestBundle_every_kind: runc, crun and our own runtime run unchanged what `oci bundle` writes of images of every kind,
// and their programs see the same. Other runtimes can be added by OCI_RUNTIMES, a list of paths with ":".
func TestBundle_every_kind(t *testing.T) {
	t.Parallel()
	needRoot(t)
	needTools(t, "umoci", "skopeo", "runc", "crun", "jq")
	kinds := append(imageKinds(t), flagKinds()...)
	if len(kinds) < 20 {
		t.Errorf("%d images", len(kinds))
	}
	runtimes := append([]string{"runc", "crun"}, filepath.SplitList(os.Getenv("OCI_RUNTIMES"))...)
	bases := filepath.Join(newSandbox(t).dir, "l")
	command(t, "umoci", "init", "--layout", bases)
	command(t, "umoci", "new", "--image", bases+":empty")
	command(t, "skopeo", "--insecure-policy", "copy", "-q", "oci:"+layout(t, "busybox")+":latest", "oci:"+bases+":busybox")
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			s := newSandbox(t)
			dir := filepath.Join(s.dir, "b")
			s.ok(t, slices.Concat([]string{"bundle", "-q"}, k.flags, []string{k.image(t, bases), dir}, k.args)...)
			config, err := os.ReadFile(filepath.Join(dir, "config.json"))
			check(t, err)
			for _, h := range k.holds {
				if got := strings.TrimSpace(command(t, "jq", "-r", h[0], filepath.Join(dir, "config.json"))); got != h[1] {
					t.Errorf("%s is %q, want %q", h[0], got, h[1])
				}
			}
			ours := s.run("run", "--bundle", dir, token())
			if ours.status != k.status || k.want != "" && ours.stdout != k.want {
				t.Errorf("want status %d and %q: %v", k.status, k.want, ours)
			}
			for _, runtime := range runtimes {
				if k.name == "volumes" {
					command(t, "rm", "-f", seedOf(t, dir))
				}
				if out, status := foreignRun(t, s, runtime, dir); status != ours.status || out != ours.stdout {
					t.Errorf("%s: status %d\n%s\nour own: status %d\n%s", runtime, status, out, ours.status, ours.stdout)
				}
			}
			if now, err := os.ReadFile(filepath.Join(dir, "config.json")); err != nil || !bytes.Equal(now, config) {
				t.Errorf("a run changed config.json: %v", err)
			}
		})
	}
}

// seedOf is the file that a run of the image with volumes makes.
func seedOf(t *testing.T, bundle string) string {
	t.Helper()
	found := command(t, "find", bundle, "-path", "*data/new", "-o", "-path", "*volumes/*/new")
	return strings.TrimSpace(found)
}

// image makes the image with umoci and gives a reference of it. A test image that nothing is changed of stays as it is.
func (k imageKind) image(t *testing.T, bases string) string {
	t.Helper()
	if k.copied != nil {
		dir := filepath.Join(filepath.Dir(bases), k.name)
		command(t, "skopeo", slices.Concat([]string{"--insecure-policy", "copy", "-q"}, k.copied, []string{"oci:" + layout(t, k.from) + ":latest", "dir:" + dir})...)
		return "dir:" + dir
	}
	if k.from != "" && k.config == nil && k.layer == nil {
		return "oci:" + layout(t, k.from) + ":latest"
	}
	base := k.from
	if base == "" {
		base = "empty"
	}
	ref := bases + ":" + k.name
	command(t, "umoci", append([]string{"config", "--image", bases + ":" + base, "--tag", k.name, "--no-history"}, k.config...)...)
	if k.layer != nil {
		path := filepath.Join(filepath.Dir(bases), k.name+".tar")
		check(t, os.WriteFile(path, tarOf(t, k.layer), 0o600))
		command(t, "umoci", "raw", "add-layer", "--image", ref, path)
	}
	return "oci:" + ref
}

// tarOf writes a layer with GNU tar's and PAX's common fields.
func tarOf(t *testing.T, entries []tarEntry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Linkname: e.link, Mode: e.mode, Uid: e.uid, Gid: e.gid, Size: int64(len(e.text)), Typeflag: tar.TypeReg}
		switch {
		case strings.HasSuffix(e.name, "/"):
			h.Typeflag = tar.TypeDir
		case e.link != "":
			h.Typeflag, h.Mode = tar.TypeSymlink, 0o777
		}
		check(t, w.WriteHeader(h))
		_, err := w.Write([]byte(e.text))
		check(t, err)
	}
	check(t, w.Close())
	return b.Bytes()
}
