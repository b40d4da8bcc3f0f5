package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/reference"
	"github.com/oci-pipeline/oci/image/store"
	"github.com/oci-pipeline/oci/image/transport"
	"github.com/oci-pipeline/oci/image/validate"
)

// judgeFlags are the flags of validate image and validate layout.
type judgeFlags struct {
	format    formatFlag
	strict    bool
	layers    bool
	noContent bool
	platform  string // of an image
	mediaType string // of a document
}

func (a *app) registerJudge(fs *pflag.FlagSet, f *judgeFlags) {
	f.format.registerOutput(fs)
	fs.BoolVar(&f.strict, "strict", false, "fail for problems of level SHOULD too")
	fs.BoolVar(&f.layers, "layers", true, "look into layers: compression, tar, DiffID, entries")
	fs.BoolVar(&f.noContent, "no-content", false, "read documents only: of all other content tell whether it is there")
	a.registerLimits(fs)
}

func (a *app) judgeOptions(f *judgeFlags) validate.Options {
	return validate.Options{NoLayers: !f.layers, NoContent: f.noContent, Limits: a.limits}
}

// judgeHelp is what both verbs say of their results.
const judgeHelp = "Each problem has its place (a file of the layout or a digest, and a JSON pointer or the entry of a layer), the\n" +
	"clause of image-spec 1.1, and what to write instead. MUST is what breaks the text or what nobody can use: the status\n" +
	"is 10. SHOULD and MAY are shown, and SHOULD fails with --strict. The last line counts them. Properties that the\n" +
	"specification does not have are no problem. Documents of Docker's types are judged as the OCI ones that they are equal to, and told."

func validateImageCommand(a *app) *cobra.Command {
	var f judgeFlags
	cmd := &cobra.Command{
		Use:   "image {REF | FILE | -}",
		Short: "Check an image, an index or a document: manifests, configs, layers",
		Long: "Report everything that breaks image-spec in an image and below it: index, manifests, configs, annotations, digests\n" +
			"and sizes, and every entry of the layers.\n\n" +
			"REF is an image of the store, or oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:NAME] or dir:DIR. A FILE, or a\n" +
			"directory whose name begins with . or /, is looked at for what it is: an archive or directory of images, of which\n" +
			"all are judged, or one document, whose type is --type or what it says itself; - is one on standard input.\n" +
			"Of an index every image is judged that is there; --platform chooses one.\n\n" + judgeHelp,
		Example: "  oci validate image debian:13\n" +
			"  oci validate image --strict docker-archive:saved.tar\n" +
			"  oci config get debian:13 | oci validate image -",
		Args: exact(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible(cmd.Context())
			defer stop()
			return a.validateImage(ctx, args[0], &f)
		},
	}
	a.registerJudge(cmd.Flags(), &f)
	cmd.Flags().StringVar(&f.platform, "platform", "", "judge of an index the image for this `os/arch[/variant]` alone")
	cmd.Flags().StringVar(&f.mediaType, "type", "", "the `media type` of a document")
	return cmd
}

func validateLayoutCommand(a *app) *cobra.Command {
	var f judgeFlags
	cmd := &cobra.Command{
		Use:   "layout {DIR | TAR | ZIP}",
		Short: "Check an image layout: its files, every blob, and all that index.json leads to",
		Long: "Report everything that breaks image-spec in an image layout: a directory, a zip, or a tar, compressed or not: the files\n" +
			"that must be there, the name and content of every blob, what nothing names, what is absent, and every index,\n" +
			"manifest, config and layer that index.json leads to.\n\n" + judgeHelp,
		Example: "  oci validate layout layout\n  oci validate layout --no-content --format json image.tar",
		Args:    exact(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible(cmd.Context())
			defer stop()
			r, err := validate.Layout(ctx, args[0], a.judgeOptions(&f))
			if err != nil {
				return err
			}
			return a.tellJudgement("layout", args[0], r, &f)
		},
	}
	a.registerJudge(cmd.Flags(), &f)
	return cmd
}

// validateImage judges what arg names: a document, or images of a place.
func (a *app) validateImage(ctx context.Context, arg string, f *judgeFlags) error {
	info, err := os.Stat(arg)
	isFile := err == nil && info.Mode().IsRegular()
	if arg == "-" || isFile {
		raw, document, err := a.documentIn(arg)
		if err != nil || document {
			if err == nil {
				err = a.validateDocument(arg, raw, f)
			}
			return err
		}
	}
	var src transport.Source
	switch {
	case isFile || err == nil && strings.IndexByte("./", arg[0]) == 0:
		src, _, err = transport.Find(ctx, arg)
	default:
		src, err = a.localSource(ctx, arg)
	}
	if err != nil {
		return fmt.Errorf("validate image: %w", err)
	}
	defer src.Close()
	roots, err := rootsOf(ctx, src, isFile)
	if err != nil {
		return fmt.Errorf("validate image %s: %w", arg, err)
	}
	for i, d := range roots {
		if roots[i], err = chosen(ctx, src, d, f.platform); err != nil {
			return fmt.Errorf("validate image %s: %w", arg, err)
		}
	}
	r, err := validate.Image(ctx, src, a.judgeOptions(f), roots...)
	if err != nil {
		return err
	}
	return a.tellJudgement("image", arg, r, f)
}

// localSource opens a place that is not a registry; a bare name is one of the store.
func (a *app) localSource(ctx context.Context, arg string) (transport.Source, error) {
	p, err := parsePlace(arg, reference.Parse)
	if err == nil && p.stored == "" && !p.inRegistry() {
		return transport.Open(ctx, p.ref)
	}
	name := arg
	if err == nil && p.stored != "" {
		name = p.stored
	}
	s, err := a.viewStore(ctx)
	if err == nil && s == nil {
		err = fmt.Errorf("%s: %w (there is no store yet)", name, store.ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	return storeSource{s, name}, nil
}

// rootsOf gives what is to be judged of a place: the one that is named or, of a file that may have several, all.
func rootsOf(ctx context.Context, src transport.Source, all bool) ([]ispec.Descriptor, error) {
	d, err := src.Resolve(ctx)
	if err == nil || !all && !errors.Is(err, transport.ErrAmbiguous) {
		return []ispec.Descriptor{d}, err
	}
	list, err := src.List(ctx)
	seen := map[digest.Digest]bool{}
	var roots []ispec.Descriptor
	for _, n := range list {
		if !seen[n.Descriptor.Digest] {
			seen[n.Descriptor.Digest] = true
			roots = append(roots, n.Descriptor)
		}
	}
	return roots, err
}

// chosen is the manifest for --platform.
func chosen(ctx context.Context, src transport.Source, d ispec.Descriptor, platform string) (ispec.Descriptor, error) {
	if platform == "" {
		return d, nil
	}
	want, err := image.ParsePlatform(platform)
	if err != nil {
		return d, err
	}
	d, _, err = readManifest(ctx, src, d, &want)
	return d, err
}

// documentIn reads a file, or standard input, if it is a JSON document and no archive.
func (a *app) documentIn(name string) (raw []byte, document bool, err error) {
	in := a.in
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, false, err
		}
		defer f.Close()
		in = f
	}
	b := bufio.NewReader(in)
	head, err := b.Peek(512)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, false, err
	}
	if text := bytes.TrimLeft(head, " \t\r\n"); name != "-" && len(text) > 0 && bytes.IndexByte([]byte(`{["`), text[0]) < 0 || bytes.IndexByte(head, 0) >= 0 {
		return nil, false, nil
	}
	raw, err = io.ReadAll(io.LimitReader(b, image.MaxManifestSize+1))
	return raw, true, err
}

func (a *app) validateDocument(name string, raw []byte, f *judgeFlags) error {
	r, known := validate.Document(raw, f.mediaType)
	if !known {
		what := "it is neither an index, a manifest, a config, a descriptor nor an oci-layout: --type says what it is"
		if f.mediaType != "" {
			what = fmt.Sprintf("%q is no media type of a document of image-spec", f.mediaType)
		}
		return usageErrorf(nil, "validate image %s: %s", name, what)
	}
	return a.tellJudgement("document", name, r, f)
}

// judgement is the JSON of a report. `oci help output` documents the fields.
type judgement struct {
	Subject    string          `json:"subject"`
	Kind       string          `json:"kind"` // layout, image or document
	Problems   []judgedProblem `json:"problems"`
	Summary    judgedSummary   `json:"summary"`
	DurationMs int64           `json:"durationMs"`
}

// judgedProblem is one of them.
type judgedProblem struct {
	Where string `json:"where"`
	Entry string `json:"entry,omitempty"`
	Raw   string `json:"raw,omitempty"` // base64 of an entry that is not UTF-8
	problem
}

// judgedSummary counts.
type judgedSummary struct {
	Must      int   `json:"must"`
	Should    int   `json:"should"`
	May       int   `json:"may"`
	Documents int   `json:"documents"`
	Layers    int   `json:"layers"`
	Blobs     int   `json:"blobs"`
	Bytes     int64 `json:"bytes"`

	Verdict string `json:"verdict"` // valid or invalid
}

// tellJudgement prints a report, and gives the error that it is.
func (a *app) tellJudgement(kind, name string, r validate.Report, f *judgeFlags) error {
	failed := r.Must
	if f.strict {
		failed += r.Should
	}
	s := judgedSummary{r.Must, r.Should, r.May, r.Documents, r.Layers, r.Blobs, r.Bytes, verdictValid}
	if failed > 0 {
		s.Verdict = verdictInvalid
	}
	if f.format.json() {
		j := judgement{name, kind, []judgedProblem{}, s, time.Since(a.start).Milliseconds()}
		for _, p := range r.Problems {
			out := judgedProblem{Where: p.Where, problem: problem{Pointer: p.Pointer, Level: string(p.Clause.Level), Clause: p.Clause.String(), URL: p.Clause.URL(), Problem: p.Err.Error(), Hint: p.Hint}}
			if out.Entry = p.Entry; !utf8.ValidString(p.Entry) {
				out.Entry, out.Raw = strconv.Quote(p.Entry), base64.StdEncoding.EncodeToString([]byte(p.Entry))
			}
			j.Problems = append(j.Problems, out)
		}
		if err := f.format.write(a.out, j); err != nil {
			return err
		}
	} else {
		a.writeJudgement(kind, name, r)
	}
	if failed > 0 {
		return &exitError{statusMalformed, fmt.Errorf("validate %s: %d problems", name, failed)}
	}
	return nil
}

func (a *app) writeJudgement(kind, name string, r validate.Report) {
	for _, p := range r.Problems {
		fmt.Fprintf(a.out, "%s\n    write: %s\n", safeText(p.Error()), safeText(p.Hint))
	}
	if left := r.Must + r.Should + r.May - len(r.Problems); left > 0 {
		fmt.Fprintf(a.out, "%d more problems are not shown\n", left)
	}
	fmt.Fprintf(a.out, "%s: %s, %d MUST, %d SHOULD, %d MAY (%d documents, %d layers, %d blobs of %s)\n",
		safeText(name), kind, r.Must, r.Should, r.May, r.Documents, r.Layers, r.Blobs, size(r.Bytes))
}
