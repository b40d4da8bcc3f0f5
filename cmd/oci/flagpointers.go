package main

// flagPointers are the places of config.json that a flag of convertFlags may change in an edit; nil if there is no such flag.
func flagPointers(flag string) []string {
	cdi := []string{
		"/process/env", "/process/user/additionalGids", "/mounts", "/hooks", "/linux/devices", "/linux/resources/devices", "/linux/intelRdt", "/linux/netDevices",
	}
	all := map[string][]string{
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

		"hostname":   {"/hostname"},
		"domainname": {"/domainname"},
		"network":    {"/linux/namespaces"},
		"pid":        {"/linux/namespaces"},
		"ipc":        {"/linux/namespaces", "/mounts"},
		"uts":        {"/linux/namespaces", "/hostname", "/domainname"},
		"cgroupns":   {"/linux/namespaces"},
		"uid-map":    {"/linux/namespaces", "/linux/uidMappings", "/linux/gidMappings"},
		"gid-map":    {"/linux/namespaces", "/linux/uidMappings", "/linux/gidMappings"},

		"cap-add":      {"/process/capabilities"},
		"cap-drop":     {"/process/capabilities"},
		"privileged":   {"/process/capabilities", "/process/apparmorProfile", "/linux/seccomp", "/linux/maskedPaths", "/linux/readonlyPaths", "/linux/devices", "/linux/resources/devices", "/mounts"},
		"security-opt": {"/process/noNewPrivileges", "/process/apparmorProfile", "/process/selinuxLabel", "/linux/seccomp", "/linux/maskedPaths", "/linux/readonlyPaths", "/linux/mountLabel"},
		"sysctl":       {"/linux/sysctl"},

		"cgroups-path":       {"/linux/cgroupsPath"},
		"memory":             {"/linux/resources/memory"},
		"memory-swap":        {"/linux/resources/memory/swap"},
		"memory-reservation": {"/linux/resources/memory/reservation"},
		"cpus":               {"/linux/resources/cpu/quota", "/linux/resources/cpu/period"},
		"cpu-shares":         {"/linux/resources/cpu/shares"},
		"cpuset-cpus":        {"/linux/resources/cpu/cpus"},
		"cpuset-mems":        {"/linux/resources/cpu/mems"},
		"pids-limit":         {"/linux/resources/pids"},
	}
	return all[flag]
}
