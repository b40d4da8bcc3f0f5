package main

import (
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// table prints the rows as they come and keeps the footnotes for the end.
type table struct {
	out   io.Writer
	notes []string
}

func (t *table) note(format string, args ...any) {
	if note := fmt.Sprintf(format, args...); !slices.Contains(t.notes, note) {
		t.notes = append(t.notes, note)
	}
}

func (t *table) head(o options) {
	for _, tool := range []string{"crun", "runc", "skopeo", "umoci"} {
		t.note("%s", version(tool))
	}
	t.note("peak MiB is the largest process; one that is smaller than this program shows this program's size")
	t.note("everything is written below %s; TMPDIR chooses another place", filepath.Dir(o.scratch))
	if o.oci == "" {
		t.note("oci: absent: make build")
	}
	fmt.Fprintln(t.out, "| work | tool | wall ms, median (min) | CPU ms, median (min) | oci/tool wall | oci/tool CPU | target | peak MiB |")
	fmt.Fprintln(t.out, "|---|---|--:|--:|--:|--:|---|--:|")
}

func (t *table) foot() {
	fmt.Fprintln(t.out)
	for _, n := range t.notes {
		fmt.Fprintln(t.out, "-", n)
	}
}

// rows prints, for each step of w and each tool, what it cost and how the first tool compares.
func (t *table) rows(w work, results []result) {
	if w.count != nil {
		for _, tool := range w.tools {
			fmt.Fprintf(t.out, "| %s | %s | %s | | | | %s | |\n", w.title, tool.name, w.count[tool.name], w.targets[tool.name])
		}
		return
	}
	steps := w.steps
	if len(steps) > 1 {
		steps = append(steps[:len(steps):len(steps)], strings.Join(steps, "+"))
	}
	for i, tool := range w.tools {
		if tool.note != "" && tool.absent == "" {
			t.note("%s: %s", tool.name, tool.note)
		}
		if results[i].err != nil {
			t.note("%s, %s: %v", w.title, tool.name, results[i].err)
		}
		if asked := w.requests[tool.name]; asked != "" {
			t.note("%s, %s asks: %s", w.title, tool.name, asked)
		}
	}
	for s, step := range steps {
		title := w.title
		if len(steps) > 1 {
			title += ": " + step
		}
		for i, tool := range w.tools {
			t.row(w, title, tool, at(results[i], s), at(results[0], s), i > 0, w.targets[step+"/"+tool.name])
		}
	}
}

func at(r result, step int) []sample {
	if r.err != nil || step >= len(r.steps) {
		return nil
	}
	return r.steps[step]
}

func (t *table) row(w work, title string, tool tool, got, ours []sample, peer bool, target string) {
	cells := []string{title, tool.name, "absent", "", "", "", target, ""}
	switch {
	case len(got) > 0:
		cells[2] = milli(median(got, wall), least(got, wall))
		cells[3] = milli(median(got, cpu), least(got, cpu))
		if w.memory {
			cells[7] = fmt.Sprintf("%.0f", float64(median(got, rss))/(1<<20))
		}
		if peer && len(ours) > 0 {
			cells[4] = ratio(median(ours, wall), median(got, wall))
			cells[5] = ratio(median(ours, cpu), median(got, cpu))
		}
	case tool.absent == "":
		cells[2] = "failed"
	}
	fmt.Fprintf(t.out, "| %s |\n", strings.Join(cells, " | "))
}

func milli(mid, low time.Duration) string {
	f := func(d time.Duration) string {
		ms := float64(d) / float64(time.Millisecond)
		if ms >= 100 {
			return fmt.Sprintf("%.0f", ms)
		}
		return fmt.Sprintf("%.1f", ms)
	}
	return f(mid) + " (" + f(low) + ")"
}

func ratio(a, b time.Duration) string {
	if b <= 0 {
		return ""
	}
	return fmt.Sprintf("%.2f", float64(a)/float64(b))
}

// version is the first line of `tool --version` that has a number in it.
func version(tool string) string {
	path, err := exec.LookPath(tool)
	if err != nil {
		return tool + ": absent"
	}
	out, err := exec.Command(path, "--version").CombinedOutput()
	if err != nil {
		return fmt.Sprintf("%s: %v", tool, err)
	}
	return regexp.MustCompile(`.*\d+\.\d+.*`).FindString(string(out))
}
