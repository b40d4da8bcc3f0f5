package distribution

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/distribution/mirrorconfig"
	"github.com/oci-pipeline/oci/image"
)

// freeAddr is a loopback address that a program can be told to listen on.
func freeAddr(t testing.TB) string { return closedAddr(t) }

// nginx starts nginx with one server block a text, in a directory of its own, and gives their
// addresses. In the text ADDR0, ADDR1, ... stand for these, and http is what stands outside of servers.
func nginx(t *testing.T, http string, servers ...string) []string {
	t.Helper()
	prog := program(t, "nginx")
	dir := t.TempDir()
	var addrs, pairs []string
	for i := range servers {
		addrs = append(addrs, freeAddr(t))
		pairs = append(pairs, fmt.Sprintf("ADDR%d", i), addrs[i])
	}
	fill := strings.NewReplacer(pairs...)
	var b strings.Builder
	fmt.Fprintf(&b, "daemon off;\nmaster_process off;\npid %s/pid;\nerror_log stderr warn;\nevents {}\nhttp {\naccess_log off;\ndefault_type application/octet-stream;\n", dir)
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&b, "%s_temp_path %s/%s;\n", kind, dir, kind)
	}
	b.WriteString(fill.Replace(http))
	for i, s := range servers {
		fmt.Fprintf(&b, "server {\nlisten %s;\n%s\n}\n", addrs[i], fill.Replace(s))
	}
	b.WriteString("}\n")
	conf := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(conf, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	var output bytes.Buffer
	cmd := exec.Command(prog, "-p", dir, "-c", conf, "-e", "stderr")
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
	})
	for range 500 {
		c, err := net.Dial("tcp", addrs[len(addrs)-1])
		if err == nil {
			_ = c.Close()
			return addrs
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("nginx ends: %v\n%s", err, output.String())
		case <-time.After(20 * time.Millisecond):
		}
	}
	t.Fatalf("nginx does not answer: %s", output.String())
	return nil
}

// static lays a fixture out as a plain file server serves it: what a registry answers to a GET, under
// the path that is asked for.
func static(t *testing.T, f *fixture, repo string) string {
	t.Helper()
	root := t.TempDir()
	put := func(path string, raw []byte) {
		t.Helper()
		path = filepath.Join(root, "v2", repo, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // nginx may be another user
			t.Fatal(err)
		}
		if err := os.WriteFile(path, raw, 0o644); err != nil { //nolint:gosec // as above
			t.Fatal(err)
		}
	}
	for d, raw := range f.store.blobs {
		kind := "blobs/"
		if _, err := image.DetectMediaType(raw); err == nil {
			kind = "manifests/"
		}
		put(kind+d.String(), raw)
	}
	put("manifests/latest", f.store.blobs[f.index.Digest])
	put("tags/list", []byte(`{"name":"`+repo+`","tags":["latest"]}`))
	return root
}

// TestNginxStaticMirror: a plain file server is a mirror, by both files of configuration; the registry is
// not asked for anything, and needs not be there.
func TestNginxStaticMirror(t *testing.T) {
	f := newFixture(t)
	sig := signature(t, f, "x")
	root := static(t, f, "team/app")
	list := ispec.Index{MediaType: ispec.MediaTypeImageIndex, Manifests: []ispec.Descriptor{sig}}
	list.SchemaVersion = 2
	referrers := filepath.Join(root, "v2/team/app/referrers", f.manifest.Digest.String())
	link(t, filepath.Join(root, "v2/team/app/tags/list"), referrers)
	if err := os.WriteFile(referrers, mustJSON(t, list), 0o644); err != nil { //nolint:gosec // nginx may be another user
		t.Fatal(err)
	}
	addr := nginx(t, "", "root "+root+";")[0]
	up := closedAddr(t)
	for name, conf := range map[string]*mirrorconfig.Config{
		"hosts.toml":      hostsToml(t, up, fmt.Sprintf("[host.\"http://%s\"]\n", addr)),
		"override_path":   hostsToml(t, up, fmt.Sprintf("[host.\"http://%s/v2\"]\noverride_path = true\n", addr)),
		"registries.conf": mirrors(t, mirrorconfig.Options{}, registryEntry(up, addr)),
	} {
		t.Run(name, func(t *testing.T) {
			c, ref := newClient(t, Options{Mirrors: conf}), mustRef(t, up+"/team/app:latest")
			pulledBack(t, c, ref.String(), f)
			if tags, err := c.Tags(t.Context(), ref); err != nil || len(tags) != 1 || tags[0] != "latest" {
				t.Errorf("tags %q, %v", tags, err)
			}
			if list, err := c.Referrers(t.Context(), ref, f.manifest.Digest, ""); err != nil || len(list) != 1 || list[0].Digest != sig.Digest {
				t.Errorf("referrers %v, %v", list, err)
			}
			m := newMemory()
			m.partial[f.layers[1].Digest] = bytes.Clone(f.store.blobs[f.layers[1].Digest][:123_456])
			res, err := pullInto(t, c, ref, m, PullOptions{})
			if err != nil || res.BytesReused != 123_456 {
				t.Errorf("reused %d bytes, %v", res.BytesReused, err)
			}
		})
	}
	// What was changed there is refused, and nothing of it is kept.
	path := filepath.Join(root, "v2/team/app/blobs", f.layers[0].Digest.String())
	if err := os.WriteFile(path, bytes.Repeat([]byte("x"), int(f.layers[0].Size)), 0o644); err != nil { //nolint:gosec // as above
		t.Fatal(err)
	}
	m := newMemory()
	c := newClient(t, Options{Mirrors: hostsToml(t, up, fmt.Sprintf("server = \"http://%s\"\n", addr))})
	if _, err := pullInto(t, c, mustRef(t, up+"/team/app:latest"), m, PullOptions{}); !errors.Is(err, image.ErrDigestMismatch) {
		t.Errorf("got %v, want ErrDigestMismatch", err)
	}
	rightOnly(t, m)
}

// rightOnly proves what a sink took.
func rightOnly(t *testing.T, m *memory) {
	t.Helper()
	for d, raw := range m.blobs {
		if digest.FromBytes(raw) != d {
			t.Errorf("%s holds something else", d)
		}
	}
}

// behindNginx starts docker-registry with a fixture in it.
func behindNginx(t *testing.T) (string, *fixture) {
	t.Helper()
	program(t, "nginx")
	host, f := dockerRegistry(t, ""), newFixture(t)
	if err := newClient(t, Options{}).Push(t.Context(), mustRef(t, host+"/team/app:latest"), f.store, f.index, PushOptions{}); err != nil {
		t.Fatal(err)
	}
	return host, f
}

// to sends everything to docker-registry, with what is said in the location.
func to(host, in string) string {
	return "location / {\nproxy_set_header Host $http_host;\n" + in + "\nproxy_pass http://" + host + ";\n}\n"
}

// TestNginxFaultyProxy: whatever a proxy does on the way, the image comes whole, a part that is there is
// used if it can be, and the store gets nothing else.
func TestNginxFaultyProxy(t *testing.T) {
	host, f := behindNginx(t)
	big := f.layers[1]
	const have = 123_456
	// stutter sends 100 kB and then nothing for very long.
	stutter := to(host, "limit_rate_after 100k;\nlimit_rate 1;")
	ranged := func(in string) string { return to(host, "if ($http_range) {\n"+in+"\n}") }
	for name, tt := range map[string]struct {
		http    string
		servers []string
		partial bool
		o       Options
	}{
		"as it is":            {servers: []string{to(host, "")}, partial: true},
		"slow":                {servers: []string{to(host, "limit_rate 400k;")}},
		"stalls":              {servers: []string{stutter}, o: Options{IdleTimeout: 700 * time.Millisecond}},
		"cuts":                {servers: []string{stutter, "location / {\nproxy_buffering off;\nproxy_read_timeout 500ms;\nproxy_set_header Host $http_host;\nproxy_pass http://ADDR0;\n}"}},
		"cuts, with buffers":  {servers: []string{stutter, "location / {\nproxy_read_timeout 500ms;\nproxy_set_header Host $http_host;\nproxy_pass http://ADDR0;\n}"}},
		"no ranges":           {servers: []string{to(host, "proxy_set_header Range \"\";")}, partial: true},
		"416":                 {servers: []string{ranged("return 416;")}, partial: true},
		"501":                 {servers: []string{ranged("return 501;")}, partial: true},
		"another range":       {http: "map $http_range $lie { default \"bytes=5000-\"; \"\" \"\"; }\n", servers: []string{to(host, "proxy_set_header Range $lie;")}, partial: true},
		"a shorter range":     {http: "map $http_range $lie { default \"bytes=123456-123999\"; \"\" \"\"; }\n", servers: []string{to(host, "proxy_set_header Range $lie;")}, partial: true},
		"a range that is not": {http: "map $http_range $lie { default \"bytes=0-176543\"; \"\" \"\"; }\nmap $http_range $says { default \"bytes 123456-299999/300000\"; \"\" \"\"; }\n", servers: []string{to(host, "proxy_set_header Range $lie;\nproxy_hide_header Content-Range;\nadd_header Content-Range $says;")}, partial: true},
		"206 without a range": {http: "map $http_range $lie { default \"bytes=123456-\"; \"\" \"\"; }\n", servers: []string{to(host, "proxy_set_header Range $lie;\nproxy_hide_header Content-Range;")}, partial: true},
		"no length":           {servers: []string{to(host, "chunked_transfer_encoding on;\nproxy_hide_header Content-Length;\nsub_filter_types *;\nsub_filter nothingofthekind x;")}},
		"502":                 {http: odd, servers: []string{to(host, "if ($odd) { return 502; }")}},
		"503, Retry-After":    {http: odd, servers: []string{"add_header Retry-After 1 always;\n" + to(host, "if ($odd) { return 503; }")}},
		"504":                 {http: odd, servers: []string{to(host, "if ($odd) { return 504; }")}},
		"429, Retry-After":    {http: odd, servers: []string{"add_header Retry-After 1 always;\n" + to(host, "if ($odd) { return 429; }")}},
		"429 by rate":         {http: "limit_req_zone $server_name zone=z:1m rate=20r/s;\nlimit_req_status 429;\n", servers: []string{"limit_req zone=z;\n" + to(host, "")}},
		"one connection":      {http: "limit_conn_zone $server_name zone=c:1m;\nlimit_conn_status 503;\n", servers: []string{"limit_conn c 1;\n" + to(host, "")}},
		"closes each time":    {servers: []string{"keepalive_timeout 0;\n" + to(host, "")}},
		"by slices":           {servers: []string{to(host, "slice 64k;\nproxy_set_header Range $slice_range;\nproxy_http_version 1.1;")}, partial: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addrs := nginx(t, tt.http, tt.servers...)
			tt.o.Retry = Retry{Attempts: 40, Base: 10 * time.Millisecond, Max: 100 * time.Millisecond, Budget: time.Minute}
			m := newMemory()
			if tt.partial {
				m.partial[big.Digest] = bytes.Clone(f.store.blobs[big.Digest][:have])
			}
			_, err := pullInto(t, newClient(t, tt.o), mustRef(t, addrs[len(addrs)-1]+"/team/app:latest"), m, PullOptions{})
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range append(f.layers, f.config, f.manifest) {
				if !bytes.Equal(m.blobs[d.Digest], f.store.blobs[d.Digest]) {
					t.Errorf("%s is missing or different", d.Digest)
				}
			}
			rightOnly(t, m)
		})
	}
}

// odd is 1 for every other request of a connection, the first one among them: trying again helps.
const odd = "map $connection_requests $odd { \"~[13579]$\" 1; default \"\"; }\n"

// TestNginxBrokenProxy: what does not heal is an error of its kind, in a bounded time, and the store gets
// nothing that is not right.
func TestNginxBrokenProxy(t *testing.T) {
	host, f := behindNginx(t)
	blobs := func(in string) string { return "location ~ /blobs/ {\n" + in + "\n}\n" + to(host, "") }
	always := func(status string) string { return "add_header Retry-After 3600 always;\nreturn " + status + ";" }
	for name, tt := range map[string]struct {
		server string
		want   error
	}{
		"502":              {blobs("return 502;"), ErrServer},
		"503 for an hour":  {blobs(always("503")), ErrServer},
		"429 for an hour":  {blobs(always("429")), ErrRateLimited},
		"403":              {blobs("return 403;"), ErrUnauthorized},
		"404":              {blobs("return 404;"), ErrNotFound},
		"closes":           {blobs("return 444;"), ErrNetwork},
		"a page":           {blobs("return 200 'sorry';"), image.ErrSizeMismatch},
		"changed manifest": {to(host, "sub_filter_types *;\nsub_filter '\"layers\"' '\"lawyers\"';"), image.ErrSizeMismatch},
		"redirects":        {blobs("return 307 $request_uri;"), ErrProtocol},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr := nginx(t, "", tt.server)[0]
			m := newMemory()
			_, err := pullInto(t, newClient(t, Options{IdleTimeout: 3 * time.Second}), mustRef(t, addr+"/team/app:latest"), m, PullOptions{})
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			for d := range m.blobs {
				if _, ok := f.store.blobs[d]; !ok {
					t.Errorf("%s is nothing of the image", d)
				}
			}
			rightOnly(t, m)
		})
	}
}

// TestNginxPush: a proxy that cuts uploads, refuses large bodies, or says where to go on in its own way.
func TestNginxPush(t *testing.T) {
	host, _ := behindNginx(t)
	f := newFixture(t)
	for name, tt := range map[string]struct {
		http, server string
		want         error
		o            PushOptions
	}{
		"buffers":              {server: "client_max_body_size 0;\n" + to(host, "")},
		"does not buffer":      {server: "client_max_body_size 0;\n" + to(host, "proxy_request_buffering off;\nproxy_http_version 1.1;")},
		"bodies of up to 64k":  {server: "client_max_body_size 64k;\n" + to(host, ""), want: &StatusError{Status: http.StatusRequestEntityTooLarge}},
		"in parts of that":     {server: "client_max_body_size 64k;\n" + to(host, ""), o: PushOptions{ChunkSize: 60_000}},
		"502 by turns":         {http: odd, server: "client_max_body_size 0;\n" + to(host, "if ($odd) { return 502; }")},
		"503 by turns":         {http: odd, server: "client_max_body_size 0;\n" + to(host, "if ($odd) { return 503; }")},
		"503 by turns, parts":  {http: odd, server: to(host, "if ($odd) { return 503; }"), o: PushOptions{ChunkSize: 60_000}},
		"location of the back": {server: "client_max_body_size 0;\nlocation / {\nproxy_pass http://" + host + ";\nproxy_redirect off;\nproxy_set_header Host $http_host;\n}\n"},
	} {
		t.Run(name, func(t *testing.T) {
			addr := nginx(t, tt.http, tt.server)[0]
			c := newClient(t, Options{Retry: Retry{Attempts: 20, Base: 10 * time.Millisecond, Max: 50 * time.Millisecond, Budget: time.Minute}})
			repo := "/" + strings.NewReplacer(" ", "-", ",", "").Replace(name) + "/app:v"
			err := c.Push(t.Context(), mustRef(t, addr+repo), f.store, f.index, tt.o)
			var s *StatusError
			if want, ok := tt.want.(*StatusError); ok { //nolint:errorlint // of the table
				if !errors.As(err, &s) || s.Status != want.Status {
					t.Errorf("got %v, want %d", err, want.Status)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			pulledBack(t, c, host+repo, f)
		})
	}
}
