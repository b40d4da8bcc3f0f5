package registrytest

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

func get(t *testing.T, url string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close() //nolint:errcheck // a test
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

func TestRulesSkipAndEnd(t *testing.T) {
	s := New(t, Options{})
	s.Inject(Rule{Method: http.MethodGet, Path: "/v2/", Skip: 1, Times: 2, Fault: Status(500)}, Rule{Path: "/v2/", Skip: 3, Fault: Drop()})
	var got []int
	for range 5 {
		got = append(got, get(t, s.URL+"/v2/"))
	}
	// The second rule counts only what the first lets pass.
	want := []int{200, 500, 500, 200, 200}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("got %v, want %v", got, want)
		}
	}
	if n := get(t, s.URL+"/v2/"); n != 0 {
		t.Errorf("the second rule: got %d, want no answer", n)
	}
	if s.Count(http.MethodGet, "/v2/") < 6 { // net/http asks again on a connection that was used before
		t.Errorf("remembered %d requests", s.Count(http.MethodGet, "/v2/"))
	}
	s.Heal()
	if n := get(t, s.URL+"/v2/"); n != 200 {
		t.Errorf("healed: got %d", n)
	}
}

func TestTokenServerGuards(t *testing.T) {
	ts := NewTokenServer(t)
	s := New(t, Options{Auth: ts.Guard})
	if n := get(t, s.URL+"/v2/a/tags/list"); n != 401 {
		t.Errorf("without a token: %d", n)
	}
	for granted, want := range map[string]bool{
		"repository:a:pull": true, "repository:a:pull,push": true, "repository:b:pull": false,
		"repository:a/b:pull": false, "": false, "repository:x:pull repository:a:pull": true, "repository:a:*": true,
	} {
		if got := covers(granted, "repository:a:pull"); got != want {
			t.Errorf("%q: got %v", granted, got)
		}
	}
	if strings.Contains(ts.URL, "https") {
		t.Error("the realm of a test is plain http")
	}
}
