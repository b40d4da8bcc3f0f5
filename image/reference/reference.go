package reference

import (
	"github.com/opencontainers/go-digest"
)

// Transport is the kind of place that an image is in.
type Transport string

// The places. The value is the prefix by which it is named, without the colon.
const (
	Registry      Transport = "docker"         // a registry that speaks distribution-spec
	OCI           Transport = "oci"            // a directory with an OCI image layout
	OCIArchive    Transport = "oci-archive"    // a tar of an OCI image layout
	DockerArchive Transport = "docker-archive" // the output of docker save
	Dir           Transport = "dir"            // skopeo's directory of one manifest and its blobs
	OCIHTTPS      Transport = "oci+https"      // an OCI image layout that a plain file server has
	OCIHTTP       Transport = "oci+http"       // the same without TLS
)

// The defaults of Docker that a bare name gets.
const (
	DefaultRegistry  = "docker.io"
	DefaultNamespace = "library"
	DefaultTag       = "latest"
)

// Ref is a checked reference. The zero Ref is none.
type Ref struct {
	Transport  Transport
	Registry   string        // host[:port]; Registry and the layouts of file servers
	Repository string        // Registry only
	Tag        string        // a tag; for the others the name in Path, "" if not given, "@3" for the fourth image in it
	Digest     digest.Digest // proved to be a sha256 or sha512 digest; "" if not given
	Path       string        // file or directory as it was given, "/DIR" of a URL; all but Registry
}

// String gives the normal form: Parse(r.String()) is r again.
func (r Ref) String() string {
	s := r.Name()
	if r.Transport == Registry {
		if r.Tag != "" {
			s += ":" + r.Tag
		}
	} else {
		s = r.Place()
		if r.Tag != "" {
			s += ":" + r.Tag
		}
	}
	if r.Digest != "" {
		s += "@" + r.Digest.String()
	}
	return s
}

// Place gives what the image is in, without the name in it and the digest: a layout, an archive, or a
// repository.
func (r Ref) Place() string {
	switch {
	case r.Transport == Registry:
		return r.Name()
	case r.Static():
		return string(r.Transport) + "://" + r.Registry + r.Path
	}
	return string(r.Transport) + ":" + r.Path
}

// Static tells whether the image is in a layout that a plain file server has.
func (r Ref) Static() bool { return r.Transport == OCIHTTPS || r.Transport == OCIHTTP }

// Name gives registry and repository, without tag and digest; "" if the image is in no registry.
func (r Ref) Name() string {
	if r.Transport != Registry {
		return ""
	}
	return r.Registry + "/" + r.Repository
}

// Reference gives what to ask a registry for: the digest if there is one, else the tag.
func (r Ref) Reference() string {
	if r.Digest != "" {
		return r.Digest.String()
	}
	return r.Tag
}

// WithDigest gives the same place with a digest in place of tag and digest.
func (r Ref) WithDigest(d digest.Digest) Ref {
	if r.Transport == Registry {
		r.Tag = ""
	}
	r.Digest = d
	return r
}
