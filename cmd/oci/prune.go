package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/oci-pipeline/oci/image/store"
	"github.com/oci-pipeline/oci/unpack/verify"
)

// pruneReport is what `oci prune --format json` prints.
type pruneReport struct {
	Blobs    []string `json:"blobs"`
	Unpacked []string `json:"unpacked"` // DiffIDs of layers whose directories were deleted
	Partial  []string `json:"partial"`
	Records  []string `json:"records"` // directories that were unpacked once, and are gone
	Bytes    int64    `json:"bytes"`   // of all of these, on disk
	DryRun   bool     `json:"dryRun,omitempty"`
}

func pruneCommand(a *app) *cobra.Command {
	var o store.PruneOptions
	var format formatFlag
	var partial bool
	cmd := &cobra.Command{
		Use:   "prune",
		Short: "Delete what no image and no container uses",
		Long: "Delete blobs and unpacked layers that no name of the store and no container uses, downloads that were\n" +
			"broken off more than a day ago, and the records of directories that `oci unpack` or `oci bundle` filled and that are\n" +
			"gone, as are those on a disk that is not mounted. Records keep no blobs. Waits for transfers that are going on.",
		Args: exact(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := interruptible(cmd.Context())
			defer stop()
			if partial {
				o.PartialAge = -1
			}
			s, err := a.openStore(ctx)
			if err != nil {
				return err
			}
			defer s.Close()
			r, err := a.prune(ctx, s, o)
			switch {
			case err != nil:
				return err
			case format.json():
				return format.write(a.out, r)
			}
			records := ""
			if len(r.Records) > 0 {
				records = ", " + count(len(r.Records), "record")
			}
			_, err = fmt.Fprintf(a.out, "%s, %s, %s%s: %s\n", count(len(r.Blobs), "blob"),
				count(len(r.Unpacked), "unpacked layer"), count(len(r.Partial), "partial download"), records, size(r.Bytes))
			return err
		},
	}
	cmd.Flags().BoolVar(&o.DryRun, "dry-run", false, "only tell what would be deleted")
	cmd.Flags().BoolVar(&partial, "partial", false, "delete every broken-off download, however young")
	format.registerOutput(cmd.Flags())
	return cmd
}

// prune deletes blobs that no name leads to, then the unpacked layers of no image and container.
func (a *app) prune(ctx context.Context, s *store.Store, o store.PruneOptions) (pruneReport, error) {
	began := time.Now()
	p, err := s.Prune(ctx, o)
	if err != nil {
		return pruneReport{}, err
	}
	r := pruneReport{Blobs: []string{}, Unpacked: []string{}, Partial: append([]string{}, p.Partial...), Records: []string{}, Bytes: p.Bytes, DryRun: o.DryRun}
	for _, d := range p.Blobs {
		r.Blobs = append(r.Blobs, d.String())
	}
	records, err := verify.OpenRecords(s.RecordsDir()).Prune(ctx, o.DryRun)
	r.Records, r.Bytes = append(r.Records, records.Paths...), r.Bytes+records.Bytes
	if err != nil {
		return r, err
	}
	if err := sweepContainers(s.ContainersDir(), o.DryRun); err != nil {
		return r, err
	}
	if err := a.sweepVolumes(o.DryRun); err != nil {
		return r, err
	}
	var bytes int64
	r.Unpacked, bytes, err = a.pruneLayers(ctx, s, p.DiffIDs, began, o.DryRun)
	r.Bytes += bytes
	return r, err
}
