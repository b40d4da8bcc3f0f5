package main

import (
	"context"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/oci-pipeline/oci/image/reference"
	"github.com/oci-pipeline/oci/unpack/volume"
)

// completeTime is how long a registry may take to tell its tags to a shell.
const completeTime = 3 * time.Second

// completes tells whether a command line is a shell's that asks what could come next.
func completes(args []string) bool {
	return len(args) > 0 && (args[0] == cobra.ShellCompRequestCmd || args[0] == cobra.ShellCompNoDescRequestCmd)
}

// completer gives what an argument may be.
type completer func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective)

// registerCompletion lets the commands below cmd tell shells what arguments and values there are. It is
// done for shells only, and costs other starts nothing.
func (a *app) registerCompletion(cmd *cobra.Command) {
	for _, c := range cmd.Commands() {
		a.registerCompletion(c)
		if f := a.argumentsOf(strings.TrimPrefix(c.CommandPath(), "oci ")); f != nil {
			c.ValidArgsFunction = f
		}
		for flag, values := range map[string][]string{
			"progress": {"auto", "tty", "plain", "json", "none"}, "format": {"text", "json"}, "policy": pullPolicies(), "pull": {pullMissing, pullAlways, pullNever},
			"devices":   {string(devicesError), string(devicesSkip), string(devicesBind)},
			"log-level": {"debug", "info", "warn", "error"}, "log-format": {"text", "json"}, "sort": {sortName, sortSemver}, "compression": {"gzip", "zstd", "none"},
			"platform": {"linux/amd64", "linux/arm64", "linux/arm/v7", "linux/386", "linux/ppc64le", "linux/riscv64", "linux/s390x"},
		} {
			if c.Flags().Lookup(flag) != nil {
				_ = c.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
			}
		}
	}
}

// argumentsOf gives what completes the arguments of a verb; nil leaves them to the shell, which knows
// files.
func (a *app) argumentsOf(verb string) completer {
	switch verb {
	case "rmi", "diff":
		return a.completeStored
	case "inspect", "tag", "push", "export", "unpack", "bundle", "verify", "mtree":
		return first(a.completeStored)
	case "run", "create":
		return first(a.completeStored)
	case "pull", "tags", "ratelimit", "attach", "artifact push", "manifest delete", "blob get", "blob head", "blob delete", "mirrors explain":
		return first(a.completeRemote)
	case "copy", "digest", "history", "referrers", "manifest get", "manifest head", "config get", "artifact pull":
		return a.completePlace
	case "start", "state", "exec", "stop", "kill", "wait", "logs":
		return first(a.completeContainer)
	case "rm":
		return a.completeContainer
	case "volume rm", "volume inspect":
		return a.completeVolume
	case "delete":
		return func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
			if namesRegistry(begun) {
				return a.completeRemote(cmd, args, begun)
			}
			return a.completeContainer(cmd, args, begun)
		}
	}
	return nil
}

// first completes the first argument only; files may follow.
func first(f completer) completer {
	return func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveDefault
		}
		return f(cmd, args, begun)
	}
}

// stored gives the names of the store, as they are and as short as a person may write them.
func (a *app) stored(ctx context.Context) []string {
	s, err := a.viewStore(ctx)
	if s == nil || err != nil {
		return nil // there is nothing to offer, and nobody to be told why
	}
	defer s.Close()
	tags, err := s.Tags(ctx)
	if err != nil {
		return nil
	}
	var names []string
	for _, t := range tags {
		if strings.IndexFunc(t.Name, unsafeRune) >= 0 {
			continue
		}
		names = append(names, t.Name)
		for _, prefix := range []string{reference.DefaultRegistry + "/", reference.DefaultRegistry + "/" + reference.DefaultNamespace + "/"} {
			if short, ok := strings.CutPrefix(t.Name, prefix); ok {
				names = append(names, short)
			}
		}
	}
	return names
}

func beginning(names []string, begun string) []string {
	return slices.DeleteFunc(names, func(s string) bool { return !strings.HasPrefix(s, begun) })
}

func (a *app) completeStored(cmd *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
	return beginning(a.stored(cmd.Context()), begun), cobra.ShellCompDirectiveNoFileComp
}

// completePlace offers the store's names behind store:, what a registry has, and files.
func (a *app) completePlace(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	if name, ok := strings.CutPrefix(begun, storePrefix); ok {
		names := beginning(a.stored(cmd.Context()), name)
		for i := range names {
			names[i] = storePrefix + names[i]
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
	prefixes := beginning([]string{storePrefix, "oci:", "oci-archive:", "docker-archive:", "dir:", "docker://"}, begun)
	if begun != "" && len(prefixes) > 0 {
		return prefixes, cobra.ShellCompDirectiveNoSpace
	}
	return a.completeRemote(cmd, args, begun)
}

// completeRemote offers the tags of a repository once a colon follows its name, and before that the
// repositories that the store knows.
func (a *app) completeRemote(cmd *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
	i := strings.LastIndexByte(begun, ':')
	if i <= strings.LastIndexByte(begun, '/') {
		return beginning(a.stored(cmd.Context()), begun), cobra.ShellCompDirectiveDefault
	}
	ref, err := reference.Parse(begun[:i])
	if err != nil || ref.Transport != reference.Registry {
		return nil, cobra.ShellCompDirectiveDefault
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completeTime)
	defer cancel()
	c, err := a.client(transferFlags{accessFlags: accessFlags{tries: 1}})
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	tags, err := c.Tags(ctx, ref)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	for k := range tags {
		tags[k] = begun[:i+1] + tags[k]
	}
	return beginning(tags, begun), cobra.ShellCompDirectiveNoFileComp
}

// completeContainer offers the IDs of the containers that were made from images, and of others.
func (a *app) completeContainer(_ *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
	var names []string
	if root, err := a.storeRoot(); err == nil {
		dirs, _ := containerDirs(root + "/containers")
		for _, d := range dirs {
			names = append(names, d.path[strings.LastIndexByte(d.path, '/')+1:])
		}
	}
	if state, err := a.stateRoot(); err == nil {
		entries, _ := os.ReadDir(state)
		for _, e := range entries {
			if e.IsDir() && checkContainerID(e.Name()) == nil {
				names = append(names, e.Name())
			}
		}
	}
	slices.Sort(names)
	return beginning(slices.Compact(names), begun), cobra.ShellCompDirectiveNoFileComp
}

// completeVolume offers the names of volumes.
func (a *app) completeVolume(_ *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
	root, err := a.storeRoot()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	entries, _ := os.ReadDir(root + "/volumes")
	for _, e := range entries {
		if volume.ValidName(e.Name()) {
			names = append(names, e.Name())
		}
	}
	return beginning(names, begun), cobra.ShellCompDirectiveNoFileComp
}
