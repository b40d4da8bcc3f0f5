package main

import (
	"fmt"
	"slices"
	"strings"
)

// table collects the verdicts: a row a check, a column a machine.
type table struct {
	machines, checks []string
	cells            map[[2]string]string
	notes            []string
	failed           int
}

// add reads what a guest printed.
func (t *table) add(machine, out string) {
	if t.cells == nil {
		t.cells = map[[2]string]string{}
	}
	t.machines = append(t.machines, machine)
	for line := range strings.Lines(out) {
		line = strings.TrimSpace(line)
		for _, verdict := range []string{"not ok", "ok", "skip"} {
			rest, found := strings.CutPrefix(line, verdict+" ")
			if !found {
				continue
			}
			check, why, _ := strings.Cut(rest, " -- ")
			if !slices.Contains(t.checks, check) {
				t.checks = append(t.checks, check)
			}
			t.cells[[2]string{machine, check}] = verdict
			if verdict != "ok" {
				t.notes = append(t.notes, fmt.Sprintf("%s, %s: %s: %s", machine, check, verdict, why))
			}
			if verdict == "not ok" {
				t.failed++
			}
			break
		}
	}
}

// none is a machine that cannot be had.
func (t *table) none(machine string, err error) {
	t.notes = append(t.notes, fmt.Sprintf("%s: %v", machine, err))
}

// print writes a Markdown table and the reasons below it.
func (t *table) print() {
	fmt.Println("| check | " + strings.Join(t.machines, " | ") + " |")
	fmt.Println("|---|" + strings.Repeat("---|", len(t.machines)))
	for _, check := range t.checks {
		row := "| " + check + " |"
		for _, m := range t.machines {
			row += " " + t.cells[[2]string{m, check}] + " |"
		}
		fmt.Println(row)
	}
	fmt.Println()
	for _, n := range t.notes {
		fmt.Println("-", n)
	}
}
