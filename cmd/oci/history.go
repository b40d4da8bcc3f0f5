package main

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/transport"
)

// historyRow is one step of an image's making: a line of `oci history`, an element of its JSON.
type historyRow struct {
	Created   *time.Time `json:"created,omitempty"`
	CreatedBy string     `json:"createdBy,omitempty"`
	Author    string     `json:"author,omitempty"`
	Comment   string     `json:"comment,omitempty"`
	Layer     string     `json:"layer,omitempty"` // digest; none if the step changed no files
	Size      int64      `json:"size"`            // bytes of the layer, as stored
}

// maxStep is how much of a step fits on a line; JSON and --no-trunc have all of it.
const maxStep = 60

func historyCommand(a *app) *cobra.Command {
	var t transferFlags
	var format formatFlag
	var whole bool
	cmd := &cobra.Command{
		Use:   "history REF",
		Short: "Show how an image was made, newest step first",
		Long:  "Show the steps of which an image says it was made, the newest first. Nothing proves that.\n\n" + placeHelp,
		Args:  exact(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withPlace(cmd, args[0], t, func(ctx context.Context, src transport.Source) error {
				d, raw, config, err := readConfig(ctx, src, t.platform)
				if err != nil {
					return err
				}
				img, err := image.New(d, raw, config)
				if err != nil {
					return err
				}
				rows := history(img)
				if format.json() {
					return format.write(a.out, rows)
				}
				return a.printHistory(rows, whole)
			})
		},
	}
	t.registerPlatform(cmd.Flags(), "the image for this `os/arch[/variant]` (default: this machine's)")
	t.registerAccess(cmd.Flags())
	cmd.Flags().BoolVar(&whole, "no-trunc", false, "print the steps and digests whole")
	format.registerOutput(cmd.Flags())
	return cmd
}

// history joins the steps with the layers. An image may have more layers than steps, or none of
// the latter: each layer gets a row all the same.
func history(img image.Image) []historyRow {
	rows := []historyRow{}
	layers := img.Layers()
	take := func(r historyRow) historyRow {
		if len(layers) > 0 {
			r.Layer, r.Size = layers[0].Descriptor.Digest.String(), layers[0].Descriptor.Size
			layers = layers[1:]
		}
		return r
	}
	for _, h := range img.Config().History {
		row := historyRow{Created: h.Created, CreatedBy: h.CreatedBy, Author: h.Author, Comment: h.Comment}
		if !h.EmptyLayer {
			row = take(row)
		}
		rows = append([]historyRow{row}, rows...)
	}
	for len(layers) > 0 {
		rows = append([]historyRow{take(historyRow{})}, rows...)
	}
	return rows
}

func (a *app) printHistory(rows []historyRow, whole bool) error {
	w := tabwriter.NewWriter(a.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "LAYER\tCREATED\tCREATED BY\tSIZE\tCOMMENT")
	for _, r := range rows {
		created, by, layer := "", oneLine(r.CreatedBy), r.Layer
		if r.Created != nil {
			created = r.Created.UTC().Format(time.RFC3339)
		}
		if !whole {
			layer = layer[:min(len(layer), len("sha256:")+12)]
			if runes := []rune(by); len(runes) > maxStep {
				by = string(runes[:maxStep-1]) + "…"
			}
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", orDash(layer), orDash(created), orDash(by), size(r.Size), orDash(oneLine(r.Comment)))
	}
	return w.Flush()
}

// descriptorText is a descriptor on one line.
func descriptorText(d ispec.Descriptor) string {
	return fmt.Sprintf("%s %s %s", d.Digest, orDash(oneLine(d.ArtifactType)), size(d.Size))
}
