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
	"github.com/spf13/pflag"

	"github.com/oci-pipeline/oci/distribution"
	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/reference"
)

// defaultFileType is the media type of an attached file that is not given one.
const defaultFileType = "application/octet-stream"

// attachFlags describe an artifact.
type attachFlags struct {
	kind        string
	annotations []string
}

func (f *attachFlags) register(fs *pflag.FlagSet) {
	fs.StringVar(&f.kind, "type", "", "the artifact's `type`, a media type")
	fs.StringVar(&f.kind, "artifact-type", "", "the same as --type")
	_ = fs.MarkHidden("artifact-type") // as oras and regctl call it
	fs.StringArrayVarP(&f.annotations, "annotation", "a", nil, "`key=value` for the artifact's manifest")
}

// notes checks the flags and gives the annotations.
func (f *attachFlags) notes() (map[string]string, error) {
	if f.kind == "" {
		return nil, usageErrorf(nil, "--type is missing: the artifact's type, as application/spdx+json")
	}
	notes := make(map[string]string, len(f.annotations))
	for _, text := range f.annotations {
		k, v, ok := strings.Cut(text, "=")
		if !ok || k == "" {
			return nil, usageErrorf(nil, "--annotation %s: want key=value", quote(text))
		}
		notes[k] = v
	}
	return notes, nil
}

// attached is the JSON of `oci attach`.
type attached struct {
	pulled
	Subject      string `json:"subject"`
	ArtifactType string `json:"artifactType"`
}

func attachCommand(a *app) *cobra.Command {
	var t transferFlags
	var f attachFlags
	var out outputFlags
	cmd := &cobra.Command{
		Use:   "attach REF FILE[:MEDIATYPE]... --type TYPE",
		Short: "Attach files to an image in a registry, as an artifact that refers to it",
		Long: "Attach files to an image in a registry: an artifact of the type given, with the files as its layers and the\n" +
			"image as its subject. `oci referrers` finds it, `oci artifact pull` writes the files. The same files give the\n" +
			"same artifact.",
		Args: atLeast(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible(cmd.Context())
			defer stop()
			ref, err := parseDestination(cmd, args[0], t.network)
			if err != nil {
				return err
			}
			done, err := a.attach(ctx, ref, args[1:], f, t)
			switch {
			case err != nil:
				return err
			case out.digestFile != "":
				if err := writeDigestFile(out.digestFile, done.Digest); err != nil {
					return err
				}
			}
			if out.format.json() {
				return out.format.write(a.out, done)
			}
			_, err = fmt.Fprintln(a.out, done.Name)
			return err
		},
	}
	t.register(cmd.Flags())
	cmd.Flags().Lookup("platform").Usage = "attach to the manifest for this `os/arch[/variant]` instead of the index"
	t.registerQuiet(cmd.Flags())
	f.register(cmd.Flags())
	out.register(cmd.Flags())
	return cmd
}

func (a *app) attach(ctx context.Context, ref reference.Ref, files []string, f attachFlags, t transferFlags) (attached, error) {
	c, err := a.client(t)
	if err != nil {
		return attached{}, err
	}
	if _, err := f.notes(); err != nil {
		return attached{}, err
	}
	subject, err := a.provedSubject(ctx, c, ref, t)
	if err != nil {
		return attached{}, err
	}
	to := ref
	to.Tag, to.Digest = "", ""
	done, err := a.pushArtifact(ctx, to, ref.WithDigest(subject.Digest), files, f, transferFlags{accessFlags: t.accessFlags, quiet: t.quiet, mode: t.mode, noTTY: t.noTTY, jobs: t.jobs})
	a.finish(&done)
	return attached{done, subject.Digest.String(), f.kind}, err
}

// provedSubject reads what a name means, for the platform if one was given, before something refers to it.
func (a *app) provedSubject(ctx context.Context, c *distribution.Client, ref reference.Ref, t transferFlags) (ispec.Descriptor, error) {
	src := registrySource{c, ref}
	subject, err := src.Resolve(ctx)
	if err != nil {
		return subject, err
	}
	var want *ispec.Platform
	if t.platform != "" {
		p, err := wantedPlatform(t.platform)
		if err != nil {
			return subject, err
		}
		want = &p
	}
	subject, _, err = readManifest(ctx, src, subject, want)
	return subject, err
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

// newArtifact describes the files as an artifact; its subject is an image, or none if that is zero.
func newArtifact(subject ispec.Descriptor, kind string, notes map[string]string, files []string) (fileContent, ispec.Descriptor, error) {
	c := fileContent{docs: map[digest.Digest][]byte{}, files: map[digest.Digest]string{}}
	c.docs[ispec.DescriptorEmptyJSON.Digest] = ispec.DescriptorEmptyJSON.Data
	empty := ispec.DescriptorEmptyJSON
	empty.Data = nil
	m := ispec.Manifest{
		MediaType: ispec.MediaTypeImageManifest, ArtifactType: kind, Config: empty,
		Annotations: notes,
	}
	if subject.Digest != "" {
		m.Subject = &ispec.Descriptor{MediaType: subject.MediaType, Digest: subject.Digest, Size: subject.Size}
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
