package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/store"
)

// checkReport is what `oci check --format json` prints.
type checkReport struct {
	Store    string   `json:"store"`
	Blobs    int      `json:"blobs"`
	Bytes    int64    `json:"bytes"`
	Names    int      `json:"names"`
	Layers   int      `json:"layers"`  // unpacked layers that are what was unpacked
	Rebuilt  int      `json:"rebuilt"` // of them: whose tar was rebuilt, and their files compared
	Problems []string `json:"problems"`
	Notes    []string `json:"notes"`
	Repaired []string `json:"repaired,omitempty"` // digests of what was taken away, and is to be fetched or unpacked again
	Restored []string `json:"restored,omitempty"` // names that another tool wrote over, given back or forgotten
	Clean    bool     `json:"clean"`

	blobs, layers []digest.Digest // that are damaged
}

// checkFlags are the flags of `oci check`.
type checkFlags struct {
	layers bool
	repair bool
	forget bool
}

func checkCommand(a *app) *cobra.Command {
	var format formatFlag
	var f checkFlags
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Prove the store: blobs by their digests, names by what they lead to, unpacked layers",
		Long: "Prove the whole store. The status is 6 when something in it is not what it should be; unfinished\n" +
			"downloads are only noted.\n\n" +
			"Every blob is hashed, and every name followed to content that is there. An unpacked layer must have its\n" +
			"record and its log, and no file or directory of it may have been changed (ctime) since it was unpacked:\n" +
			"of one that was, the tar is rebuilt and must have the layer's DiffID, and is unpacked once more: the\n" +
			"files must be the same in names, owners, modes, times, links, xattrs and content, with none besides.\n" +
			"--layers does that with every layer, and so does not depend on the clock of the file system.\n\n" +
			"--repair takes away what is damaged: blobs, which the next pull fetches, and unpacked layers, which the\n" +
			"next run unpacks. The status is still 6 then; a second check tells what is left. Names that another tool\n" +
			"wrote over, as skopeo does with what came while it copied, it gives back; --forget lets them be gone.",
		Args: exact(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := interruptible(cmd.Context())
			defer stop()
			r, err := a.check(ctx, f)
			if err != nil {
				return err
			}
			if format.json() {
				err = format.write(a.out, r)
			} else {
				a.writeCheck(r)
			}
			if err == nil && !r.Clean {
				err = &exitError{statusUnverified, fmt.Errorf("check %s: %s%s", r.Store, count(len(r.Problems), "problem"), r.remedy())}
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&f.layers, "layers", false, "rebuild and compare every unpacked layer")
	cmd.Flags().BoolVar(&f.repair, "repair", false, "take away damaged blobs and unpacked layers")
	cmd.Flags().BoolVar(&f.forget, "forget", false, "stop remembering names that another tool wrote over")
	format.registerOutput(cmd.Flags())
	return cmd
}

func (a *app) check(ctx context.Context, f checkFlags) (checkReport, error) {
	s, err := a.existingStore(ctx, f.repair)
	if err != nil {
		return checkReport{}, err
	}
	defer s.Close()
	found, err := s.Check(ctx)
	if err != nil {
		return checkReport{}, err
	}
	r := checkReport{
		Store: s.Root(), Blobs: found.Blobs, Bytes: found.Bytes, Names: found.Names,
		Problems: []string{}, Notes: append([]string{}, found.Notes...),
	}
	for _, p := range found.Problems {
		r.Problems = append(r.Problems, p.Err.Error())
		d := digest.Digest(p.Subject)
		if image.ValidateDigest(d) == nil && (errors.Is(p.Err, image.ErrDigestMismatch) || errors.Is(p.Err, image.ErrSizeMismatch)) {
			r.blobs = append(r.blobs, d)
		}
	}
	if err := a.checkLayers(ctx, s, f, found, &r); err != nil {
		return r, err
	}
	r.Clean = len(r.Problems) == 0
	if f.repair {
		err = a.repair(ctx, s, &r)
	}
	if err == nil && (f.repair || f.forget) {
		err = restore(ctx, s, f.forget, &r)
	}
	return r, err
}

// existingStore opens a store that must exist. With mend, one that lost only the file oci-layout gets it again.
func (a *app) existingStore(ctx context.Context, mend bool) (*store.Store, error) {
	root, err := a.storeRoot()
	if err != nil {
		return nil, err
	}
	s, err := store.Open(ctx, root, store.Options{Existing: true})
	if mend && errors.Is(err, store.ErrIncomplete) {
		return store.Open(ctx, root, store.Options{})
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = &exitError{statusNotFound, fmt.Errorf("%s: there is no store: %w", root, store.ErrNotFound)}
	}
	return s, err
}

// unpackedLayers gives the DiffIDs that directories of unpacked layers are named by.
func unpackedLayers(s *store.Store) (list []digest.Digest) {
	for _, algorithm := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
		entries, _ := os.ReadDir(filepath.Join(s.LayersDir(), string(algorithm))) // absent: none
		for _, e := range entries {
			if d := digest.NewDigestFromEncoded(algorithm, e.Name()); image.ValidateDigest(d) == nil {
				list = append(list, d)
			}
		}
	}
	return list
}

// restore gives back, or forgets, the names that another tool wrote over.
func restore(ctx context.Context, s *store.Store, forget bool, r *checkReport) error {
	list, err := s.Restore(ctx, forget)
	for _, t := range list {
		r.Restored = append(r.Restored, orDash(t.Name))
	}
	return err
}

// repair takes damaged blobs away.
func (a *app) repair(ctx context.Context, s *store.Store, r *checkReport) error {
	done := map[digest.Digest]bool{}
	for _, d := range r.blobs {
		if done[d] {
			continue
		}
		done[d] = true
		if err := s.Discard(ctx, d); err != nil {
			return err
		}
		r.Repaired = append(r.Repaired, d.String())
	}
	return a.repairLayers(s, r)
}

// remedy says what to do about the problems.
func (r checkReport) remedy() string {
	switch {
	case len(r.Repaired) > 0 && len(r.blobs) == 0:
		return fmt.Sprintf("; %s taken away: the next run unpacks what it needs", count(len(r.Repaired), "unpacked layer"))
	case len(r.Repaired) > 0:
		return fmt.Sprintf("; %s taken away: pull the images again, then check", count(len(r.Repaired), "damaged item"))
	case len(r.blobs) > 0:
		return "; `oci check --repair` takes away what is damaged, then pull the images again"
	case len(r.layers) > 0:
		return "; `oci check --repair` takes away what was changed, and the next run unpacks it again"
	case len(r.Problems) > 0:
		return "; pull the images again, or `oci rmi` them"
	}
	return ""
}

func (a *app) writeCheck(r checkReport) {
	for _, p := range r.Problems {
		fmt.Fprintln(a.out, p)
	}
	for _, n := range r.Notes {
		fmt.Fprintln(a.out, "note:", n)
	}
	for _, d := range r.Repaired {
		fmt.Fprintln(a.out, "taken away:", d)
	}
	for _, n := range r.Restored {
		fmt.Fprintln(a.out, "written over by another tool, settled:", oneLine(n))
	}
	verdict := "clean"
	if !r.Clean {
		verdict = count(len(r.Problems), "problem")
	}
	layers := ""
	if r.Layers > 0 {
		layers = ", " + count(r.Layers, "unpacked layer")
	}
	if r.Rebuilt > 0 {
		layers += fmt.Sprintf(" (%d rebuilt)", r.Rebuilt)
	}
	fmt.Fprintf(a.out, "%s: %s, %s, %s%s: %s\n", r.Store, count(r.Blobs, "blob"), size(r.Bytes), count(r.Names, "name"), layers, verdict)
}

// count gives a number with its noun, in the plural unless it is one.
func count(n int, noun string) string {
	switch {
	case n == 1:
		return "1 " + noun
	case strings.HasSuffix(noun, "y"):
		return fmt.Sprintf("%d %sies", n, strings.TrimSuffix(noun, "y"))
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
