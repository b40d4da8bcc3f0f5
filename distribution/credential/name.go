package credential

import (
	"fmt"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"

	"github.com/oci-pipeline/oci/image/reference"
)

// Name is under what credentials are kept: a registry, or a path in one.
type Name struct {
	Registry   string // "docker.io", "localhost:5000"
	Repository string // "", or a namespace or repository
}

// ParseName reads REGISTRY or REGISTRY/PATH, with or without a scheme before it. It gives ErrName.
func ParseName(s string) (Name, error) {
	rest := strings.TrimRight(stripScheme(s), "/")
	if legacy(s) {
		rest, _, _ = strings.Cut(rest, "/") // https://index.docker.io/v1/
	}
	host, path, _ := strings.Cut(rest, "/")
	if aliases(host)[0] == "docker.io" {
		host = "docker.io"
	}
	// A name without a dot is a registry here, so that Docker's rule for short names does not apply.
	probe := "x.invalid/" + path
	if path == "" {
		probe = "x.invalid/x"
	}
	_, err1 := reference.Parse(probe)
	hostProbe := host
	if !strings.Contains(host, ":") {
		hostProbe += ":443"
	}
	ref, err2 := reference.Parse(hostProbe + "/x")
	if err1 != nil || err2 != nil || ref.Registry != hostProbe || strings.ContainsAny(path, ":@") {
		return Name{}, &Error{Op: "parse", Subject: fmt.Sprintf("%.300q", s), Err: ErrName}
	}
	return Name{host, path}, nil
}

// String gives the name as files have it.
func (n Name) String() string {
	if n.Repository == "" {
		return n.Registry
	}
	return n.Registry + "/" + n.Repository
}

// keys are the keys under which a file may have the name; the first is the one to write.
func (n Name) keys(path string) []string {
	if n.Repository != "" || n.Registry != "docker.io" {
		return []string{n.String()}
	}
	list := append(aliases(n.Registry), dockerHub)
	if filepath.Base(path) == "config.json" { // Docker's own
		slices.Reverse(list)
	}
	return list
}

// target is the file to change: the one that podman and skopeo would.
func (k *Keychain) target() string {
	list, _ := k.paths()
	if k.o.File == "" && k.o.Getenv("REGISTRY_AUTH_FILE") == "" && goruntime.GOOS != "linux" {
		for _, p := range list {
			if !strings.HasPrefix(p, "/run/") { // there is no such place elsewhere
				return p
			}
		}
	}
	if len(list) == 0 {
		return ""
	}
	return list[0]
}
