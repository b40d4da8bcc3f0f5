package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/oci-pipeline/oci/unpack"
)

// limitFlag collects the settings of --limit.
type limitFlag struct{ limits *unpack.Limits }

// registerLimits adds --limit to a verb that unpacks.
func (a *app) registerLimits(f *pflag.FlagSet) {
	f.Var(limitFlag{&a.limits}, "limit", "raise or lower limits of unpacking: `name=value[,...]`, such as entries=5m,ratio=none (`oci help limits`)")
}

// String, Set and Type make it a pflag.Value.
func (l limitFlag) String() string { return "" }

// Set takes settings with commas between them.
func (l limitFlag) Set(s string) error {
	changed := *l.limits
	for setting := range strings.SplitSeq(s, ",") {
		if err := changed.Set(setting); err != nil {
			return fmt.Errorf("%w; `oci help limits` lists them", err)
		}
	}
	*l.limits = changed
	return nil
}

// Type is the name of the value in help texts.
func (l limitFlag) Type() string { return "name=value" }

// limitsTopic is a topic of `oci help` and does nothing.
func limitsTopic(*app) *cobra.Command {
	var b strings.Builder
	b.WriteString(`What a layer may make this program do, with the defaults. --limit changes it for one command, on the verbs that
unpack: ` + "`oci unpack --limit entries=5m,layer=200G --limit ratio=none REF DIR`" + `. What exceeds a limit ends with status 10
and leaves nothing.

`)
	for _, l := range unpack.LimitTable() {
		fmt.Fprintf(&b, "  %-11s%-6s%s\n", l.Name, l.Format(l.Default), l.Why)
	}
	b.WriteString(`
K, M, G and T multiply bytes by 1024 once, twice and so on, and all else by 1000. none is no limit.

Before anything is written, the sizes of the layers as far as they are known (of plain layers, from the last bytes
of gzip and the first of zstd) are compared with what the file system has free, and too little ends with status 9.
What else it takes cannot be known before: a file system that fills up meanwhile also ends with status 9, and what
was written is removed. --limit free=none does not ask.`)
	return &cobra.Command{Use: "limits", Short: "What bounds the unpacking of layers", Long: b.String()}
}

// limitHint says which setting lets pass what exceeded a limit.
func limitHint(e *unpack.LimitError) string {
	if e.Met == 0 {
		return fmt.Sprintf("--limit %s may be enough, %s=none is no limit; `oci help limits`", e.Enough(), e.Limit.Name)
	}
	return fmt.Sprintf("--limit %s lets it pass, if that is wanted; `oci help limits`", e.Enough())
}
