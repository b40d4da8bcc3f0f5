package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/oci-pipeline/oci/distribution"
	"github.com/oci-pipeline/oci/unpack"
)

// app is one invocation: its streams and the values of the flags that every verb has.
type app struct {
	in       io.Reader
	out, err io.Writer
	args     []string
	global   globalFlags
	log      *slog.Logger
	logFile  *os.File
	notes    notes
	start    time.Time // of the command
	limits   unpack.Limits

	clientsMu sync.Mutex
	clients   map[string]*distribution.Client // by the flags that they were made of
	password  string                          // from --password-stdin
}

// verb is one row of the command table. Only the verb that the command line names is built:
// building all of them costs more than starting a container.
type verb struct {
	name, group string
	root        bool // needs root, if need be that of a user namespace
	build       func(*app) *cobra.Command
}

// Groups of verbs, in the order in which help shows them.
const (
	groupImage     = "image"
	groupRegistry  = "registry"
	groupContainer = "container"
	groupTool      = "tool"
)

// verbs is the command table.
func verbs() []verb {
	return append(platformVerbs(), []verb{
		{"pull", groupImage, false, pullCommand},
		{"push", groupImage, false, pushCommand},
		{"copy", groupImage, false, copyCommand},
		{"sync", groupImage, false, syncCommand},
		{"import", groupImage, false, importCommand},
		{"export", groupImage, false, exportCommand},
		{"images", groupImage, false, imagesCommand},
		{"inspect", groupImage, false, inspectCommand},
		{"tag", groupImage, false, tagCommand},
		{"rmi", groupImage, true, rmiCommand},
		{"prune", groupImage, true, pruneCommand},
		{"check", groupImage, true, checkCommand},
		{"unpack", groupImage, true, unpackCommand},
		{"bundle", groupImage, true, bundleCommand},
		{"verify", groupImage, true, verifyCommand},
		{"repack", groupImage, true, repackCommand},
		{"mtree", groupImage, true, mtreeCommand},
		{"diff", groupImage, true, diffCommand},
		{"serve", groupImage, false, serveCommand},
		{"tags", groupRegistry, false, tagsCommand},
		{"catalog", groupRegistry, false, catalogCommand},
		{"digest", groupRegistry, false, digestCommand},
		{"history", groupRegistry, false, historyCommand},
		{"manifest", groupRegistry, false, manifestCommand},
		{"config", groupRegistry, false, configCommand},
		{"blob", groupRegistry, false, blobCommand},
		{"referrers", groupRegistry, false, referrersCommand},
		{"artifact", groupRegistry, false, artifactCommand},
		{"attach", groupRegistry, false, attachCommand},
		{"ratelimit", groupRegistry, false, ratelimitCommand},
		{"delete", groupContainer, false, deleteCommand},
		{"login", groupTool, false, loginCommand},
		{"logout", groupTool, false, logoutCommand},
		{"mirrors", groupTool, false, mirrorsCommand},
		{"spec", groupTool, false, specCommand},
		{"explain", groupTool, false, explainBundleCommand},
		{"validate", groupTool, false, validateCommand},
		{"version", groupTool, false, versionCommand},
		{"exit-status", "", false, exitStatusTopic},
		{"output", "", false, outputTopic},
		{"mounts", "", false, mountsTopic},
		{"devices", "", false, devicesTopic},
		{"limits", "", false, limitsTopic},
		{"man", "", false, manCommand},
	}...)
}

// root builds the command tree for args: the one verb that args names, or all of them when it
// names none (help, completion, a misspelling).
func (a *app) root(args []string) *cobra.Command {
	root := &cobra.Command{
		Use:   "oci",
		Short: "Pull, unpack, bundle and run container images, without a daemon",
		Long: "oci takes a container image from a registry to a running container, without a daemon,\n" +
			"and proves every step: sizes, digests and DiffIDs are checked before anything is published.\n" +
			"`oci help exit-status` tells what exit statuses mean, `oci help output` what is printed,\n" +
			"`oci help limits` what bounds the unpacking of images, `oci help mounts` what --mount and --volume take.",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(*cobra.Command, []string) error {
			return a.openLog()
		},
	}
	root.SetArgs(args)
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		if near := nearFlag(cmd.Flags(), err.Error()); near != "" {
			return usageErrorf(cmd, "%w; did you mean --%s?", err, near)
		}
		return usageErrorf(cmd, "%w", err)
	})
	a.global.register(root.PersistentFlags())
	table := verbs()
	name := firstVerb(args)
	if i := slices.IndexFunc(table, func(v verb) bool { return v.name == name }); i >= 0 {
		root.AddCommand(table[i].make(a))
		return root
	}
	root.AddGroup(
		&cobra.Group{ID: groupImage, Title: "Images:"},
		&cobra.Group{ID: groupRegistry, Title: "Registries and other places:"},
		&cobra.Group{ID: groupContainer, Title: "Containers:"},
		&cobra.Group{ID: groupTool, Title: "Tools:"},
	)
	root.SetHelpCommandGroupID(groupTool)
	root.SetCompletionCommandGroupID(groupTool)
	root.Args = unknownVerb
	for _, v := range table {
		cmd := v.make(a)
		cmd.GroupID = v.group
		root.AddCommand(cmd)
	}
	if completes(args) {
		a.registerCompletion(root)
	}
	return root
}

// unknownVerb refuses an argument that is no verb, and names the verbs that look like it.
func unknownVerb(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	near := cmd.SuggestionsFor(args[0])
	if len(near) > 0 {
		return usageErrorf(cmd, "unknown command %q; did you mean %s?", args[0], strings.Join(near, " or "))
	}
	return usageErrorf(cmd, "unknown command %q", args[0])
}

// firstVerb is the first argument that is neither a global flag nor the value of one.
func firstVerb(args []string) string {
	for i := 0; i < len(args); i++ {
		switch {
		case !strings.HasPrefix(args[i], "-"):
			return args[i]
		case strings.Contains(args[i], "=") || !takesValue(args[i]):
		default:
			i++
		}
	}
	return ""
}

// exact, atLeast and between are cobra's argument counts as usage errors.
func exact(n int) cobra.PositionalArgs { return usage(cobra.ExactArgs(n)) }

func atLeast(n int) cobra.PositionalArgs { return usage(cobra.MinimumNArgs(n)) }

func between(low, high int) cobra.PositionalArgs { return usage(cobra.RangeArgs(low, high)) }

func usage(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usageErrorf(cmd, "%w", err)
		}
		return nil
	}
}

// interruptible is a context that ends at the first SIGINT or SIGTERM; the second one kills.
// The verbs that run for long use it; the runtime's do not pay for it.
func interruptible(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

// make builds the verb's command; one that needs root runs as root of a user namespace when the
// user is not root.
func (v verb) make(a *app) *cobra.Command {
	cmd := v.build(a)
	if !v.root {
		return cmd
	}
	inner := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if done, err := a.asRoot(); done {
			return err
		}
		return inner(cmd, args)
	}
	return cmd
}

// asRoot runs this command line as root of a user namespace when the user is not root; done tells
// that it has run, with err as its result. Otherwise the caller is root and goes on.
func (a *app) asRoot() (done bool, err error) {
	status, done, err := a.becomeRoot()
	if err == nil && done && status != statusOK {
		err = &exitError{status: status}
	}
	return done, err
}
