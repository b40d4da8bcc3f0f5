package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"

	"github.com/oci-pipeline/oci/distribution"
	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/reference"
)

// defaultFileType is the media type of an attached file that is not given one.
const defaultFileType = "application/octet-stream"

type attachFlags struct {
	kind        string
	annotations []string
}

// attached is the JSON of `oci attach`.
type attached struct {
	Name         string `json:"name"` // REPOSITORY@DIGEST
	Digest       string `json:"digest"`
	Subject      string `json:"subject"`
	ArtifactType string `json:"artifactType"`
}

func attachCommand(a *app) *cobra.Command {
	var t transferFlags
	var f attachFlags
	var format formatFlag
	cmd := &cobra.Command{
		Use:   "attach REF FILE[:MEDIATYPE]... --type TYPE",
		Short: "Attach files to an image in a registry, as an artifact that refers to it",
		Long: "Attach files to an image in a registry: an artifact of the type given, with the files as its layers and the\n" +
			"image as its subject. `oci referrers` finds it. The same files give the same artifact.",
		Args: atLeast(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible(cmd.Context())
			defer stop()
			ref, err := reference.Parse(args[0])
			if err != nil {
				return err
			}
			if ref.Transport != reference.Registry {
				return usageErrorf(cmd, "%s is not in a registry", ref)
			}
			if f.kind == "" {
				return usageErrorf(cmd, "--type is missing: the artifact's type, as application/spdx+json")
			}
			done, err := a.attach(ctx, ref, args[1:], f, t)
			switch {
			case err != nil:
				return err
			case format.json():
				return format.write(a.out, done)
			}
			_, err = fmt.Fprintln(a.out, done.Name)
			return err
		},
	}
	t.register(cmd.Flags())
	cmd.Flags().Lookup("platform").Usage = "attach to the manifest for this `os/arch[/variant]` instead of the index"
	t.registerQuiet(cmd.Flags())
	cmd.Flags().StringVar(&f.kind, "type", "", "the artifact's `type`, a media type")
	cmd.Flags().StringArrayVarP(&f.annotations, "annotation", "a", nil, "`key=value` for the artifact's manifest")
	format.registerOutput(cmd.Flags())
	return cmd
}

func (a *app) attach(ctx context.Context, ref reference.Ref, files []string, f attachFlags, t transferFlags) (attached, error) {
	notes, err := parseAnnotations(f.annotations)
	if err != nil {
		return attached{}, err
	}
	c, err := a.client(t)
	if err != nil {
		return attached{}, err
	}
	src := registrySource{c, ref}
	subject, err := src.Resolve(ctx)
	if err != nil {
		return attached{}, err
	}
	var want *ispec.Platform
	if t.platform != "" {
		p, err := wantedPlatform(t.platform)
		if err != nil {
			return attached{}, err
		}
		want = &p
	}
	if subject, _, err = readManifest(ctx, src, subject, want); err != nil { // proved, before something refers to it
		return attached{}, err
	}
	content, d, err := newArtifact(subject, f.kind, notes, files)
	if err != nil {
		return attached{}, err
	}
	p := a.showProgress(t)
	defer p.close()
	at := ref.WithDigest(d.Digest)
	if err := c.Push(ctx, at, content, d, distribution.PushOptions{Events: p.event, Jobs: t.jobs}); err != nil {
		return attached{}, err
	}
	return attached{at.String(), d.Digest.String(), subject.Digest.String(), f.kind}, nil
}

func parseAnnotations(list []string) (map[string]string, error) {
	notes := make(map[string]string, len(list))
	for _, text := range list {
		k, v, ok := strings.Cut(text, "=")
		if !ok || k == "" {
			return nil, usageErrorf(nil, "--annotation %q: want key=value", text)
		}
		notes[k] = v
	}
	return notes, nil
}

// fileContent is the content of an artifact: documents in memory, and files where they lie.
type fileContent struct {
	docs  map[digest.Digest][]byte
	files map[digest.Digest]string
}

// Open implements distribution.Source.
func (c fileContent) Open(_ context.Context, d ispec.Descriptor) (io.ReadCloser, error) {
	if raw, ok := c.docs[d.Digest]; ok {
		return io.NopCloser(bytes.NewReader(raw)), nil
	}
	return os.Open(c.files[d.Digest])
}

// newArtifact describes the files as an artifact whose subject is an image.
func newArtifact(subject ispec.Descriptor, kind string, notes map[string]string, files []string) (fileContent, ispec.Descriptor, error) {
	c := fileContent{docs: map[digest.Digest][]byte{}, files: map[digest.Digest]string{}}
	c.docs[ispec.DescriptorEmptyJSON.Digest] = ispec.DescriptorEmptyJSON.Data
	empty := ispec.DescriptorEmptyJSON
	empty.Data = nil
	subject = ispec.Descriptor{MediaType: subject.MediaType, Digest: subject.Digest, Size: subject.Size}
	m := ispec.Manifest{
		MediaType: ispec.MediaTypeImageManifest, ArtifactType: kind, Config: empty,
		Subject: &subject, Annotations: notes,
	}
	m.SchemaVersion = 2
	for _, arg := range files {
		d, name, err := describeFile(arg)
		if err != nil {
			return c, d, err
		}
		if err := image.ValidateDescriptor(d); err != nil {
			return c, d, err
		}
		c.files[d.Digest] = name
		m.Layers = append(m.Layers, d)
	}
	raw, err := json.Marshal(m)
	if err != nil {
		return c, ispec.Descriptor{}, err
	}
	if _, err := image.DecodeManifest(raw, m.MediaType); err != nil { // an impossible type, for example
		return c, ispec.Descriptor{}, err
	}
	d := ispec.Descriptor{MediaType: m.MediaType, ArtifactType: kind, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
	c.docs[d.Digest] = raw
	return c, d, nil
}

// describeFile reads FILE[:MEDIATYPE] and the file.
func describeFile(arg string) (ispec.Descriptor, string, error) {
	name, mediaType := arg, defaultFileType
	if i := strings.LastIndexByte(arg, ':'); i > 0 && strings.Count(arg[i:], "/") == 1 {
		if _, err := os.Lstat(arg); errors.Is(err, os.ErrNotExist) {
			name, mediaType = arg[:i], arg[i+1:]
		}
	}
	f, err := os.Open(name)
	if err != nil {
		return ispec.Descriptor{}, name, err
	}
	defer f.Close()
	h := digest.SHA256.Digester()
	n, err := io.Copy(h.Hash(), f)
	if err != nil {
		return ispec.Descriptor{}, name, err
	}
	return ispec.Descriptor{
		MediaType: mediaType, Digest: h.Digest(), Size: n,
		Annotations: map[string]string{ispec.AnnotationTitle: filepath.Base(name)},
	}, name, nil
}
