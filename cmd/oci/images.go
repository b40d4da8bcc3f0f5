package main

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/store"
)

// imageRow is one line of `oci images`, and one element of its JSON.
type imageRow struct {
	Name     string     `json:"name"`
	Digest   string     `json:"digest"`
	ID       string     `json:"id,omitempty"`
	Platform string     `json:"platform,omitempty"`
	Size     int64      `json:"size,omitempty"` // bytes, as stored
	Created  *time.Time `json:"created,omitempty"`
	Error    string     `json:"error,omitempty"`
}

func imagesCommand(a *app) *cobra.Command {
	var format formatFlag
	var quiet bool
	cmd := &cobra.Command{
		Use:   "images",
		Short: "List the images in the store",
		Args:  exact(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			rows, err := a.images(cmd.Context())
			if err != nil {
				return err
			}
			switch {
			case format.json():
				return format.write(a.out, rows)
			case quiet:
				for _, r := range rows {
					if r.Name == "" { // known by its digest alone
						r.Name = r.Digest
					}
					fmt.Fprintln(a.out, oneLine(r.Name))
				}
				return nil
			}
			w := tabwriter.NewWriter(a.out, 0, 8, 2, ' ', 0)
			fmt.Fprintln(w, "NAME\tDIGEST\tPLATFORM\tSIZE")
			for _, r := range rows {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", orDash(oneLine(r.Name)), r.Digest[:min(len(r.Digest), len("sha256:")+12)], orDash(oneLine(r.Platform)), size(r.Size))
			}
			return w.Flush()
		},
	}
	format.registerOutput(cmd.Flags())
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "print the names only, and the digests of images that have none")
	return cmd
}

func (a *app) images(ctx context.Context) ([]imageRow, error) {
	rows := []imageRow{}
	s, err := a.viewStore(ctx)
	if s == nil || err != nil {
		return rows, err
	}
	defer s.Close()
	tags, err := s.Tags(ctx)
	if err != nil {
		return nil, err
	}
	for _, t := range tags {
		rows = append(rows, describe(ctx, s, t))
	}
	return rows, nil
}

// describe is the row of one entry. What is in the store and is no image of any platform, an
// artifact for example, has a row without the columns of an image.
func describe(ctx context.Context, s *store.Store, t store.Tagged) imageRow {
	row := imageRow{Name: t.Name, Digest: t.Descriptor.Digest.String()}
	img, err := anyImage(ctx, s, t.Descriptor, ispec.Platform{})
	if err != nil {
		row.Error = err.Error()
		row.Size = artifactSize(ctx, s, t.Descriptor)
		return row
	}
	row.ID = img.ID().String()
	row.Platform = image.FormatPlatform(img.Config().Platform)
	row.Size = imageSize(img)
	row.Created = img.Config().Created
	return row
}

// artifactSize is the size of a manifest and of what it names, as it says; of an index, of the index alone.
func artifactSize(ctx context.Context, s *store.Store, d ispec.Descriptor) int64 {
	raw, err := s.ReadBlob(ctx, d, image.MaxManifestSize)
	if err != nil {
		return 0
	}
	n := d.Size
	m, err := image.DecodeManifest(raw, d.MediaType)
	if err != nil || image.IsIndex(d.MediaType) {
		return n
	}
	for _, b := range append(m.Layers, m.Config) {
		n += b.Size
	}
	return n
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
