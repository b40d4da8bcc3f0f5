package main

// flagPointers are the places of config.json that a flag of convertFlags may change in an edit; nil if there is no such flag.
func flagPointers(flag string) []string {
	for _, group := range []func() map[string][]string{processPointers, filePointers, isolationPointers, resourcePointers} {
		if pointers := group()[flag]; pointers != nil {
			return pointers
		}
	}
	return nil
}

// processPointers is flagPointers for the process and the annotations.
func processPointers() map[string][]string {
	return map[string][]string{
		"tty":        {"/process/terminal"},
		"env":        {"/process/env"},
		"env-file":   {"/process/env"},
		"entrypoint": {"/process/args"},
		"user":       {"/process/user"},
		"group-add":  {"/process/user/additionalGids"},
		"workdir":    {"/process/cwd"},

		"stop-signal":   {"/annotations/org.opencontainers.image.stopSignal"},
		"ulimit":        {"/process/rlimits"},
		"oom-score-adj": {"/process/oomScoreAdj"},
		"annotation":    {"/annotations"},
		"label":         {"/annotations"},
		"label-file":    {"/annotations"},
	}
}

// filePointers is flagPointers for files and devices.
func filePointers() map[string][]string {
	cdi := []string{
		"/process/env", "/process/user/additionalGids", "/mounts", "/hooks", "/linux/devices", "/linux/resources/devices", "/linux/intelRdt", "/linux/netDevices",
	}
	return map[string][]string{
		"read-only":       {"/root/readonly"},
		"read-only-tmpfs": {"/mounts"},
		"tmpfs":           {"/mounts"},
		"mount":           {"/mounts"},
		"volume":          {"/mounts"},
		"volumes-from":    {"/mounts"},
		"shm-size":        {"/mounts"},
		"device":          cdi,
		"gpus":            cdi,
		"cdi-spec-dir":    cdi,
		"hooks-dir":       {"/hooks"},
		"init":            {"/process/args", "/mounts"},
		"init-path":       {"/process/args", "/mounts"},
	}
}

// isolationPointers is flagPointers for namespaces and what confines the process.
func isolationPointers() map[string][]string {
	return map[string][]string{
		"hostname":   {"/hostname"},
		"domainname": {"/domainname"},
		"network":    {"/linux/namespaces"},
		"pid":        {"/linux/namespaces"},
		"ipc":        {"/linux/namespaces", "/mounts"},
		"uts":        {"/linux/namespaces", "/hostname", "/domainname"},
		"cgroupns":   {"/linux/namespaces"},
		"userns":     {"/linux/namespaces", "/linux/uidMappings", "/linux/gidMappings"},
		"uid-map":    {"/linux/namespaces", "/linux/uidMappings", "/linux/gidMappings"},
		"gid-map":    {"/linux/namespaces", "/linux/uidMappings", "/linux/gidMappings"},

		"cap-add":      {"/process/capabilities"},
		"cap-drop":     {"/process/capabilities"},
		"privileged":   {"/process/capabilities", "/process/apparmorProfile", "/linux/seccomp", "/linux/maskedPaths", "/linux/readonlyPaths", "/linux/devices", "/linux/resources/devices", "/mounts"},
		"security-opt": {"/process/noNewPrivileges", "/process/apparmorProfile", "/process/selinuxLabel", "/linux/seccomp", "/linux/maskedPaths", "/linux/readonlyPaths", "/linux/mountLabel", "/mounts"},
		"sysctl":       {"/linux/sysctl"},
	}
}

// resourcePointers is flagPointers for limits.
func resourcePointers() map[string][]string {
	return map[string][]string{
		"cgroups-path":        {"/linux/cgroupsPath"},
		"memory":              {"/linux/resources/memory"},
		"memory-swap":         {"/linux/resources/memory/swap"},
		"memory-reservation":  {"/linux/resources/memory/reservation"},
		"cpus":                {"/linux/resources/cpu/quota", "/linux/resources/cpu/period"},
		"cpu-shares":          {"/linux/resources/cpu/shares"},
		"memory-swappiness":   {"/linux/resources/memory/swappiness"},
		"oom-kill-disable":    {"/linux/resources/memory/disableOOMKiller"},
		"cpu-period":          {"/linux/resources/cpu/period"},
		"cpu-quota":           {"/linux/resources/cpu/quota"},
		"cpu-rt-period":       {"/linux/resources/cpu/realtimePeriod"},
		"cpu-rt-runtime":      {"/linux/resources/cpu/realtimeRuntime"},
		"cgroup-parent":       {"/linux/cgroupsPath"},
		"cgroup-conf":         {"/linux/resources/unified"},
		"blkio-weight":        {"/linux/resources/blockIO/weight"},
		"blkio-weight-device": {"/linux/resources/blockIO/weightDevice"},
		"device-read-bps":     {"/linux/resources/blockIO/throttleReadBpsDevice"},
		"device-write-bps":    {"/linux/resources/blockIO/throttleWriteBpsDevice"},
		"device-read-iops":    {"/linux/resources/blockIO/throttleReadIOPSDevice"},
		"device-write-iops":   {"/linux/resources/blockIO/throttleWriteIOPSDevice"},
		"device-cgroup-rule":  {"/linux/resources/devices"},
		"cpuset-cpus":         {"/linux/resources/cpu/cpus"},
		"cpuset-mems":         {"/linux/resources/cpu/mems"},
		"pids-limit":          {"/linux/resources/pids"},
	}
}
