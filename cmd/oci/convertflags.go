package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/oci-pipeline/oci/bundle/convert"
)

// maxEnvFileLine bounds a line of --env-file; the kernel takes 128 KiB a string (execve(2)).
const maxEnvFileLine = 128 << 10

// convertFlags are the flags of run, create and bundle that say how the image's config becomes a
// config.json. They are Docker's, by name and by syntax.
type convertFlags struct {
	o          convert.Options
	entrypoint string
	envFiles   []string
	labelFiles []string
	swappiness int64
	oomScore   int
	export     bool // the config is for any runtime, not for this program's own: labels that steer one are refused
	keep, drop bool // such labels
	flags      *pflag.FlagSet
}

func (c *convertFlags) register(f *pflag.FlagSet) {
	c.flags = f
	o := &c.o
	f.StringArrayVarP(&o.Env, "env", "e", nil, "set an environment variable: `NAME=value`, or NAME to pass one on")
	f.StringArrayVar(&c.envFiles, "env-file", nil, "read environment variables from `file`, one a line")
	f.StringVar(&c.entrypoint, "entrypoint", "", "replace the image's entrypoint by `command`; \"\" for none")
	f.StringVarP(&o.User, "user", "u", "", "run as `user[:group]`, names of the image or numbers")
	f.StringArrayVar(&o.GroupAdd, "group-add", nil, "add a supplementary `group`")
	f.StringVarP(&o.Workdir, "workdir", "w", "", "working `dir` in the container")
	f.StringVar(&o.StopSignal, "stop-signal", "", "`signal` that asks the container to end")
	f.StringArrayVar(&o.Ulimits, "ulimit", nil, "limit of a process: `name=soft[:hard]`, or host for those of oci")
	f.IntVar(&c.oomScore, "oom-score-adj", 0, "`score` for the kernel's choice when memory runs out, -1000 to 1000")
	c.registerFiles()
	c.registerIsolation()
	c.registerResources()
	c.registerHooks(f)
	c.registerCDI(f)
	c.registerInit(f)
}

func (c *convertFlags) registerFiles() {
	f, o := c.flags, &c.o
	f.BoolVar(&o.ReadOnly, "read-only", false, "make the root file system read-only")
	f.BoolVar(&o.ReadOnlyTmpfs, "read-only-tmpfs", false, "with --read-only, mount a tmpfs at /run, /tmp and /var/tmp")
	f.StringArrayVar(&o.Tmpfs, "tmpfs", nil, "mount a tmpfs: `dir[:options]`")
	f.StringArrayVar(&o.Mounts, "mount", nil, "mount: `type=bind|volume|tmpfs|image,source=a,target=/b[,readonly][,...]`")
	f.StringArrayVarP(&o.Volumes, "volume", "v", nil, "mount a directory of the host, or a volume: `[source:]dir[:options]`")
	f.StringArrayVar(&o.VolumesFrom, "volumes-from", nil, "mount what a container of an image has mounted: `ID[:ro]`")
	f.StringArrayVar(&o.Devices, "device", nil, "add a device of the host: `host[:container][:rwm]`, or one of a CDI file: vendor.com/class=name")
	f.StringVar(&o.ShmSize, "shm-size", "", "`size` of /dev/shm (default 64m)")
	f.StringArrayVar(&o.Annotations, "annotation", nil, "set an annotation: `NAME=value`")
	f.BoolVar(&c.keep, "allow-annotations", false, "keep labels of the image that steer some runtime, as annotations (run and create do: oci acts on none)")
	f.BoolVar(&c.drop, "drop-annotations", false, "leave out labels of the image that steer some runtime")
	f.StringArrayVarP(&o.Labels, "label", "l", nil, "set a label, which becomes an annotation: `NAME[=value]`")
	f.StringArrayVar(&c.labelFiles, "label-file", nil, "read labels from `file`, one a line")
}

func (c *convertFlags) registerIsolation() {
	f, o := c.flags, &c.o
	f.StringVar(&o.Hostname, "hostname", "", "host `name` (default: the container's ID)")
	f.StringVar(&o.Domainname, "domainname", "", "NIS domain `name`")
	f.StringVar(&o.Network, "network", "", "network `namespace`: none, host, container:ID or ns:PATH (default none)")
	f.StringVar(&o.PID, "pid", "", "pid `namespace`: private, host, container:ID or ns:PATH (default private)")
	f.StringVar(&o.IPC, "ipc", "", "ipc `namespace`: private, none, host, container:ID or ns:PATH (default private)")
	f.StringVar(&o.UTS, "uts", "", "uts `namespace`: private, host, container:ID or ns:PATH (default private)")
	f.StringVar(&o.Cgroupns, "cgroupns", "", "cgroup `namespace`: private, host, container:ID or ns:PATH (default private)")
	f.StringVar(&o.Userns, "userns", "", "user `namespace`: host, private (with --uid-map), container:ID or ns:PATH; of a user who is not root also\n"+
		"keep-id[:uid=N,gid=N], to have that id in it, or nomap, to have none (default host, or private with --uid-map)")
	f.StringArrayVar(&o.CapAdd, "cap-add", nil, "add a `capability`, or ALL")
	f.StringArrayVar(&o.CapDrop, "cap-drop", nil, "take a `capability` away, or ALL")
	f.BoolVar(&o.Privileged, "privileged", false, "all capabilities and devices, nothing masked: no protection of the host")
	f.StringArrayVar(&o.SecurityOpts, "security-opt", nil, "`option`: seccomp=FILE|unconfined, no-new-privileges, apparmor=PROFILE, label=user:|role:|type:|level:|filetype:NAME\n"+
		"or disable, mask=PATHS, unmask=PATHS, proc-opts=hidepid=N,...")
	f.StringArrayVar(&o.Sysctls, "sysctl", nil, "kernel parameter of a namespace: `NAME=value`")
}

// options completes the options with what is not a plain value: files, and whether a flag was given.
func (c *convertFlags) options(args []string) (convert.Options, error) {
	o := c.o
	o.Args = args
	o.LookupEnv = os.LookupEnv
	var err error
	if o.ImageLabels, err = c.labelPolicy(); err != nil {
		return o, err
	}
	if c.flags.Changed("oom-score-adj") {
		o.OOMScoreAdj = &c.oomScore
	}
	if c.flags.Changed("entrypoint") {
		if o.Entrypoint, err = convert.ParseEntrypoint(c.entrypoint); err != nil {
			return o, err
		}
	}
	if c.flags.Changed("memory-swappiness") {
		o.MemorySwappiness = &c.swappiness
	}
	if o.Labels, err = c.labels(); err != nil {
		return o, err
	}
	for _, file := range c.envFiles {
		lines, err := readLines(file)
		if err != nil {
			return o, fmt.Errorf("--env-file: %w", err)
		}
		o.EnvFile = append(o.EnvFile, lines...)
	}
	return o, convert.CheckFiles(o)
}

// labels are those of files, then those of the command line, which win.
func (c *convertFlags) labels() ([]string, error) {
	var all []string
	for _, file := range c.labelFiles {
		lines, err := readLines(file)
		if err != nil {
			return nil, fmt.Errorf("--label-file: %w", err)
		}
		for _, line := range lines {
			if line = strings.TrimLeft(line, " \t"); line != "" && line[0] != '#' {
				all = append(all, line)
			}
		}
	}
	return append(all, c.o.Labels...), nil
}

// labelPolicy says what becomes of the image's labels on which some runtime acts (H-84).
func (c *convertFlags) labelPolicy() (convert.LabelPolicy, error) {
	switch {
	case c.keep && c.drop:
		return 0, usageErrorf(nil, "--allow-annotations and --drop-annotations exclude each other")
	case c.drop:
		return convert.DropUnsafe, nil
	case c.keep || !c.export:
		return convert.AllowUnsafe, nil
	}
	return convert.RefuseUnsafe, nil
}

func readLines(path string) ([]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var lines []string
	s := bufio.NewScanner(f)
	s.Buffer(nil, maxEnvFileLine)
	for s.Scan() {
		lines = append(lines, strings.TrimSuffix(s.Text(), "\r"))
	}
	return lines, s.Err()
}
