package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"

	"github.com/oci-pipeline/oci/distribution"
	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/reference"
	"github.com/oci-pipeline/oci/image/transport"
)

func artifactCommand(a *app) *cobra.Command {
	return group("artifact", "Push and pull files as artifacts, as oras does", artifactPushCommand(a), artifactPullCommand(a))
}

func artifactPushCommand(a *app) *cobra.Command {
	var t transferFlags
	var f attachFlags
	var out outputFlags
	var subject string
	cmd := &cobra.Command{
		Use:   "push REF FILE[:MEDIATYPE]... --type TYPE",
		Short: "Push files to a registry as one artifact",
		Long: "Push files to a registry as an artifact that REF names, with the files as its layers. With --subject it refers\n" +
			"to what that name means in the same repository, as one of `oci attach` does. The same files give the same\n" +
			"artifact.",
		Args: atLeast(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible(cmd.Context())
			defer stop()
			ref, err := parseDestination(cmd, args[0], t.network)
			if err == nil && ref.Digest != "" {
				err = usageErrorf(cmd, "%s: the digest comes of the files; name a tag", args[0])
			}
			if err != nil {
				return err
			}
			about := reference.Ref{}
			if subject != "" {
				about, err = parseSubject(cmd, ref, subject, t.network)
			}
			if err != nil {
				return err
			}
			done, err := a.pushArtifact(ctx, ref, about, args[1:], f, t)
			if err != nil {
				return err
			}
			return a.printResult(done, out)
		},
	}
	t.registerJobs(cmd.Flags())
	t.registerAccess(cmd.Flags())
	t.registerQuiet(cmd.Flags())
	f.register(cmd.Flags())
	cmd.Flags().StringVar(&subject, "subject", "", "`name`, tag or digest that the artifact refers to")
	out.register(cmd.Flags())
	return cmd
}

// parseDestination reads a name in a registry.
func parseDestination(cmd *cobra.Command, arg string, n networkFlags) (reference.Ref, error) {
	ref, err := referTo(arg, n)
	if err == nil && ref.Transport != reference.Registry {
		err = usageErrorf(cmd, "%s is not in a registry", ref)
	}
	return ref, err
}

// parseSubject reads --subject: a whole name, or a tag or digest of the repository of ref.
func parseSubject(cmd *cobra.Command, ref reference.Ref, text string, n networkFlags) (reference.Ref, error) {
	full := ref.Name() + ":" + text
	switch {
	case strings.Contains(text, "/"):
		full = text
	case strings.Contains(text, ":"):
		full = ref.Name() + "@" + text
	}
	about, err := parseDestination(cmd, full, n)
	if err == nil && about.Name() != ref.Name() {
		err = usageErrorf(cmd, "--subject: %s is not in the repository %s", about, ref.Name())
	}
	return about, err
}

// pushArtifact pushes files as ref, about something in the same repository if that is named.
func (a *app) pushArtifact(ctx context.Context, ref, about reference.Ref, files []string, f attachFlags, t transferFlags) (pulled, error) {
	notes, err := f.notes()
	if err != nil {
		return pulled{}, err
	}
	c, err := a.client(t)
	if err != nil {
		return pulled{}, err
	}
	var subject ispec.Descriptor
	if about.Repository != "" {
		if subject, err = a.provedSubject(ctx, c, about, t); err != nil {
			return pulled{}, err
		}
	}
	content, d, err := newArtifact(subject, f.kind, notes, files)
	if err != nil {
		return pulled{}, err
	}
	var done pulled
	if ref.Tag == "" {
		ref = ref.WithDigest(d.Digest)
	}
	done.named(ref.String(), d)
	done.Manifest = done.Digest
	p := a.showProgress(t)
	defer p.close()
	var n counter
	err = c.Push(ctx, ref, content, d, distribution.PushOptions{Events: n.events(p.pushed), Jobs: t.jobs})
	done.Sent = n.n.Load()
	return done, err
}

// artifactFile is a file that `oci artifact pull` wrote.
type artifactFile struct {
	Path      string `json:"path"` // below the directory
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int64  `json:"size"`
}

// artifactFiles is the JSON of `oci artifact pull`.
type artifactFiles struct {
	pulled
	ArtifactType string         `json:"artifactType"`
	Dir          string         `json:"dir"`
	Files        []artifactFile `json:"files"`
}

func artifactPullCommand(a *app) *cobra.Command {
	var t transferFlags
	var out outputFlags
	dir := "."
	cmd := &cobra.Command{
		Use:   "pull REF",
		Short: "Write the files of an artifact into a directory",
		Long: "Write the files of an artifact into a directory, each whole and proved or not at all. A file has the name of its\n" +
			"title annotation, which cannot lead out of the directory; one without is named by its digest. A file that is\n" +
			"there is replaced. `oci pull` takes an artifact into the store instead.\n\n" + placeHelp,
		Args: exact(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			done := artifactFiles{Dir: dir, Files: []artifactFile{}}
			err := a.withPlace(cmd, args[0], t, func(ctx context.Context, src transport.Source) error {
				return a.pullArtifact(ctx, src, &done, args[0], t)
			})
			if err != nil {
				return err
			}
			a.finish(&done.pulled)
			if out.digestFile != "" {
				if err := writeDigestFile(out.digestFile, done.Digest); err != nil {
					return err
				}
			}
			if out.format.json() {
				return out.format.write(a.out, done)
			}
			for _, f := range done.Files {
				fmt.Fprintln(a.out, oneLine(filepath.Join(dir, f.Path)))
			}
			return nil
		},
	}
	t.registerPlatform(cmd.Flags(), "of the manifest for this `os/arch[/variant]`, if REF is an index")
	t.registerAccess(cmd.Flags())
	t.registerQuiet(cmd.Flags())
	cmd.Flags().StringVarP(&dir, "output", "o", dir, "`dir` to write to; it is made if need be")
	out.register(cmd.Flags())
	return cmd
}

func (a *app) pullArtifact(ctx context.Context, src transport.Source, done *artifactFiles, name string, t transferFlags) error {
	root, err := src.Resolve(ctx)
	if err != nil {
		return err
	}
	want, err := wantedPlatform(t.platform)
	if err != nil {
		return err
	}
	d, raw, err := readManifest(ctx, src, root, &want)
	if err != nil {
		return err
	}
	m, err := image.DecodeManifest(raw, d.MediaType)
	if err != nil {
		return err
	}
	if r, ok := src.(registrySource); ok {
		name = r.ref.String()
	}
	done.named(name, root)
	done.Manifest, done.ArtifactType = d.Digest.String(), m.ArtifactType
	if done.ArtifactType == "" {
		done.ArtifactType = m.Config.MediaType
	}
	names, err := fileNames(m.Layers)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(done.Dir, 0o755); err != nil {
		return err
	}
	dir, err := os.OpenRoot(done.Dir)
	if err != nil {
		return err
	}
	defer dir.Close()
	p := a.showProgress(t)
	defer p.close()
	for i, l := range m.Layers {
		if err := writeArtifactFile(ctx, src, dir, names[i], l, p.event); err != nil {
			return fmt.Errorf("file %d/%d %q: %w", i+1, len(m.Layers), names[i], err)
		}
		done.Fetched += l.Size
		done.Files = append(done.Files, artifactFile{names[i], l.MediaType, l.Digest.String(), l.Size})
	}
	return nil
}

// errFileName: the title of a file of an artifact that cannot be the name of a file.
var errFileName = errors.New("no name for a file")

// fileNames gives the name of each file, all proved before one is written.
func fileNames(layers []ispec.Descriptor) ([]string, error) {
	names := make([]string, len(layers))
	seen := map[string]bool{}
	for i, l := range layers {
		name := l.Annotations[ispec.AnnotationTitle]
		if name == "" {
			name = l.Digest.Algorithm().String() + "-" + l.Digest.Encoded()
		}
		if !filepath.IsLocal(name) || path.Clean(name) != name || name == "." || strings.ContainsAny(name, "\x00\\") || strings.IndexFunc(name, unsafeRune) >= 0 {
			return nil, fmt.Errorf("layer %d/%d %s: %w: %s", i+1, len(layers), l.Digest, errFileName, quote(name))
		}
		if seen[name] {
			return nil, fmt.Errorf("layer %d/%d %s: %w: two files are called %s", i+1, len(layers), l.Digest, errFileName, quote(name))
		}
		seen[name] = true
		names[i] = name
	}
	return names, nil
}

// writeArtifactFile writes one blob below dir: under another name until it is proved.
func writeArtifactFile(ctx context.Context, src transport.Source, dir *os.Root, name string, d ispec.Descriptor, events image.EventFunc) error {
	if at := path.Dir(name); at != "." {
		if err := dir.MkdirAll(at, 0o755); err != nil {
			return err
		}
	}
	events.Emit(image.Event{Kind: image.EventStarted, Descriptor: d, Total: d.Size})
	partial := path.Join(path.Dir(name), "."+path.Base(name)+"."+newContainerID())
	f, err := dir.OpenFile(partial, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	err = errors.Join(copyContent(ctx, src, d, f), f.Close())
	if err == nil {
		err = dir.Rename(partial, name)
	}
	if err != nil {
		events.Emit(image.Event{Kind: image.EventFailed, Descriptor: d, Err: err})
		return errors.Join(err, dir.Remove(partial))
	}
	events.Emit(image.Event{Kind: image.EventDone, Descriptor: d, Bytes: d.Size, Total: d.Size})
	return nil
}

func copyContent(ctx context.Context, src transport.Source, d ispec.Descriptor, w io.Writer) error {
	r, err := src.Open(ctx, d)
	if err != nil {
		return err
	}
	return copyProved(r, d, w)
}
