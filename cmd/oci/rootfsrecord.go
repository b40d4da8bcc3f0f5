package main

import (
	"errors"
	"fmt"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/store"
	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/verify"
)

// recorded runs write, which unpacks img with the options, and then records that dir was unpacked from it. Without a
// root file system there is no record; without a record, as when the disk of the store is full, there is a warning.
func (a *app) recorded(s *store.Store, img image.Image, name, dir string, o *unpack.Options, write func() error) error {
	draft, err := verify.OpenRecords(s.RecordsDir()).Begin()
	if err != nil {
		return err
	}
	o.Logs, o.LeftOut = draft.Logs, draft.LeftOut
	if err := write(); err != nil {
		return errors.Join(err, draft.Abort())
	}
	err = draft.Commit(dir, img, name, verify.How{UIDMap: o.UIDMap, GIDMap: o.GIDMap, SingleID: o.SingleID})
	if err != nil {
		fmt.Fprintf(a.err, "warning: %s\n", message(err.Error()))
	}
	return nil
}
