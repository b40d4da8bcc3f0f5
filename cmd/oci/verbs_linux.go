package main

// platformVerbs are the verbs that need this platform.
func platformVerbs() []verb {
	return []verb{
		{"run", groupContainer, false, runCommand},
		{"create", groupContainer, false, createCommand},
		{"start", groupContainer, false, startCommand},
		{"state", groupContainer, false, stateCommand},
		{"exec", groupContainer, false, execCommand},
		{"stop", groupContainer, false, stopCommand},
		{"kill", groupContainer, false, killCommand},
		{"rm", groupContainer, false, rmCommand},
		{"ps", groupContainer, false, psCommand},
		{"wait", groupContainer, false, waitCommand},
		{"logs", groupContainer, false, logsCommand},
		{"volume", groupContainer, false, volumeCommand},
		{"plan", groupTool, false, planCommand},
		{"demo", groupTool, false, demoCommand},
		{"probe", groupTool, false, probeCommand},
	}
}
