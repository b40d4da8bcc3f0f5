package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// exitMeaning is a row of README.md's table of exit statuses.
type exitMeaning struct{ status, meaning string }

func exitMeanings() []exitMeaning {
	return []exitMeaning{
		{"0", "done"},
		{"1", "another error; `diff`: something differs, and its other errors are 2"},
		{"2", "usage"},
		{"3", "not found: image, tag, container, file"},
		{"4", "denied: authentication or authorisation"},
		{"5", "the registry limits the rate"},
		{"6", "verification failed: a size, digest or DiffID does not match"},
		{"7", "the image has no such platform; `validate bundle --host`: this host cannot run it"},
		{"8", "network, time-out, or a failure of the registry"},
		{"9", "storage"},
		{"10", "malformed or oversized content"},
		{"125, 126, 127", "`run`, `create`, `exec`: the container or the process could not be made; the program cannot be executed; there is no such program"},
		{"130", "broken off by a signal, before a program ran"},
		{"128+n", "`run`: signal n ended the program, whose own status is given otherwise"},
	}
}

// exitStatusTopic is a topic of `oci help` and does nothing.
func exitStatusTopic(*app) *cobra.Command {
	var b strings.Builder
	b.WriteString("What the exit status of every verb means; `oci run` and `oci exec` give the program's own.\n\n")
	for _, m := range exitMeanings() {
		fmt.Fprintf(&b, "  %-15s%s\n", m.status, m.meaning)
	}
	return &cobra.Command{Use: "exit-status", Short: "What exit statuses mean", Long: strings.TrimRight(b.String(), "\n")}
}
