package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// text is an inspection for people: what is absent is left out.
func (v inspection) text() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	row := func(key, value string) {
		if value != "" {
			fmt.Fprintf(w, "%s\t%s\n", key, oneLine(value))
		}
	}
	row("Name:", v.Name)
	row("Digest:", v.Digest)
	row("Media type:", v.MediaType)
	row("Platforms:", strings.Join(v.Platforms, ", "))
	row("Manifest:", v.Manifest)
	row("Artifact type:", v.ArtifactType)
	row("ID:", v.ID)
	row("Platform:", v.Platform)
	row("Size:", size(v.Size))
	if v.Created != nil {
		row("Created:", v.Created.UTC().Format(time.RFC3339))
	}
	row("Author:", v.Author)
	row("User:", v.User)
	row("Working dir:", v.WorkingDir)
	row("Entrypoint:", quoted(v.Entrypoint))
	row("Cmd:", quoted(v.Cmd))
	for _, e := range v.Env {
		row("Env:", e)
	}
	for _, k := range slices.Sorted(maps.Keys(v.Labels)) {
		row("Label:", k+"="+v.Labels[k])
	}
	for _, k := range slices.Sorted(maps.Keys(v.Annotations)) {
		row("Annotation:", k+"="+v.Annotations[k])
	}
	if v.Referrers != nil {
		row("Referrers:", fmt.Sprint(*v.Referrers))
	}
	for i, l := range v.Layers {
		row(fmt.Sprintf("Layer %d/%d:", i+1, len(v.Layers)), strings.TrimSpace(strings.Join([]string{l.Digest, size(l.Size), l.Compression, l.MediaType, l.Title}, " ")))
	}
	_ = w.Flush() // to memory
	return b.String()
}

// quoted gives arguments so that they can be told apart.
func quoted(args []string) string {
	var list []string
	for _, a := range args {
		list = append(list, fmt.Sprintf("%q", a))
	}
	return strings.Join(list, " ")
}
