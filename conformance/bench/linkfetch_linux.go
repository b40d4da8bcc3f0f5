package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// linkWorks compares registry -> store over a slow and distant link: 100 Mbit/s, 20 ms there and back.
// Here it is round trips that decide, and whether the line is kept full; it is the wall clock that counts.
func linkWorks(ctx context.Context, o options) ([]work, func(), error) {
	l, err := newLink()
	if err != nil {
		return nil, nil, err
	}
	r, err := startRegistryOn(ctx, o, registryPlace{
		addr: net.JoinHostPort(serverAddr, "5000"), within: l.server.run, requests: filepath.Join(o.scratch, "requests"),
	})
	if err != nil {
		l.close()
		return nil, nil, err
	}
	stop := func() {
		r.stop()
		l.close()
	}
	var works []work
	for _, shape := range []fetchShape{{title: "busybox", name: "busybox", rounds: 9}, {title: "python", name: "python", rounds: 3}} {
		layout := filepath.Join(o.images, shape.name)
		if _, err := os.Stat(filepath.Join(layout, "index.json")); err != nil {
			continue // an image that is not on this machine
		}
		ref := r.addr + "/" + shape.name + ":latest"
		push := exec.CommandContext(ctx, "skopeo", "--insecure-policy", "copy", "--dest-tls-verify=false", "oci:"+layout+":latest", "docker://"+ref)
		if err := l.server.run(func() error { return push.Run() }); err != nil {
			stop()
			return nil, nil, fmt.Errorf("skopeo copy: %w", err)
		}
		works = append(works, o.linkFetch(l, r, shape, ref))
	}
	return works, stop, nil
}

func (o options) linkFetch(l *link, r *registry, shape fetchShape, ref string) work {
	w := work{
		title: shape.title + " over 100 Mbit/s, 20 ms", steps: []string{"fetch"}, rounds: shape.rounds, quick: 2,
		targets: map[string]string{}, requests: map[string]string{},
	}
	add := func(name, program, note string, cmd func(ctx context.Context, dir string) *exec.Cmd) {
		w.tools = append(w.tools, tool{name: name, absent: absent(program), note: note, once: func(ctx context.Context) ([]sample, error) {
			return o.fresh(func(dir string) (s []sample, err error) {
				before := r.seen()
				err = l.client.run(func() error {
					s, err = timedAll(cmd(ctx, dir))
					return err
				})
				w.requests[name] = r.since(before)
				return s, err
			})
		}})
	}
	add("oci", o.oci, "", func(ctx context.Context, dir string) *exec.Cmd {
		cmd := exec.CommandContext(ctx, o.oci, "pull", "-q", "--plain-http", ref)
		cmd.Env = o.env(dir)
		return cmd
	})
	for _, f := range fetchers() {
		w.targets["fetch/"+f.name] = "<= 1"
		add(f.name, f.program, f.version(), func(ctx context.Context, dir string) *exec.Cmd {
			return f.command(ctx, r.addr, ref, filepath.Join(dir, "layout"))
		})
	}
	return w
}

// requestLine finds a request in the log of docker-registry.
var requestLine = regexp.MustCompile(`"((?:GET|HEAD|POST) /v2/[^ ]*) HTTP/1\.1" (\d+)`)

// seen gives how long the log of requests is; since, what was asked after it was so long.
func (r *registry) seen() int64 {
	info, err := os.Stat(r.log)
	if err != nil {
		return 0
	}
	return info.Size()
}

func (r *registry) since(at int64) string {
	time.Sleep(20 * time.Millisecond) // the last line is written after the answer
	raw, err := os.ReadFile(r.log)
	if err != nil || int64(len(raw)) < at {
		return "not known"
	}
	var asked []string
	count := map[string]int{}
	for _, m := range requestLine.FindAllStringSubmatch(string(raw[at:]), -1) {
		method, path, _ := strings.Cut(m[1], " ")
		what := "ping"
		for _, part := range []string{"manifests", "blobs", "referrers", "tags"} {
			if strings.Contains(path, "/"+part+"/") {
				what = part
			}
		}
		what = method + " " + what
		if m[2] != "200" {
			what += " (" + m[2] + ")"
		}
		if count[what]++; count[what] == 1 {
			asked = append(asked, what)
		}
	}
	for i, what := range asked {
		asked[i] = fmt.Sprintf("%d %s", count[what], what)
	}
	return strings.Join(asked, ", ")
}
