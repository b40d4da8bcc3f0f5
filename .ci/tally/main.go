// Command tally reads the output of `go test -json` and prints it for people: one line a package,
// the whole output of each failed test, the reason of each skipped one, and as the last line
// "N passed, N failed, N skipped". It exits 1 when anything failed or nothing ran.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
)

// event is the part of test2json's events that the tally needs.
type event struct {
	Action, Package, ImportPath, Test, Output, FailedBuild string
	Elapsed                                                float64
}

// tally is the count so far, and the output of the tests still running.
type tally struct {
	out                     io.Writer
	passed, failed, skipped int
	output                  map[string][]string
	reasons                 map[string]int
	failedIn                map[string]int // package: tests of it that failed
	order                   []string
}

func main() {
	file := flag.String("o", "", "also write the last line to this file")
	flag.Parse()
	t := &tally{out: os.Stdout, output: map[string][]string{}, reasons: map[string]int{}, failedIn: map[string]int{}}
	t.read(os.Stdin)
	line := t.close()
	if *file != "" {
		if err := os.WriteFile(*file, []byte(line+"\n"), 0o644); err != nil {
			fmt.Fprintln(os.Stderr, "tally:", err)
			os.Exit(1)
		}
	}
	if t.failed > 0 || t.passed == 0 {
		os.Exit(1)
	}
}

func (t *tally) read(r io.Reader) {
	br := bufio.NewReader(r)
	for {
		line, err := br.ReadString('\n')
		var e event
		switch {
		case strings.HasPrefix(line, "{") && json.Unmarshal([]byte(line), &e) == nil:
			t.add(e)
		case line != "":
			fmt.Fprint(t.out, line)
		}
		if err != nil {
			return
		}
	}
}

func (t *tally) add(e event) {
	key := e.Package + " " + e.Test
	switch e.Action {
	case "output":
		t.output[key] = append(t.output[key], e.Output)
		return
	case "build-output":
		fmt.Fprint(t.out, e.Output)
		return
	case "pass", "fail", "skip":
	default:
		return
	}
	lines := t.output[key]
	delete(t.output, key)
	if e.Test == "" {
		t.pack(e, lines)
		return
	}
	switch e.Action {
	case "pass":
		t.passed++
	case "fail":
		t.failed++
		t.failedIn[e.Package]++
		fmt.Fprintf(t.out, "--- FAIL: %s\n%s", key, strings.Join(lines, ""))
	case "skip":
		t.skipped++
		t.skip(e.Test, lines)
	}
}

// pack reports the end of a package. A package that failed without a failed test (it did not
// build, it panicked, it ran out of time) counts as one failure.
func (t *tally) pack(e event, lines []string) {
	if e.Action != "fail" {
		for _, l := range lines {
			if strings.HasPrefix(l, "ok ") || strings.HasPrefix(l, "?") {
				fmt.Fprint(t.out, l)
			}
		}
		return
	}
	fmt.Fprint(t.out, strings.Join(lines, ""))
	for key, l := range t.output {
		if strings.HasPrefix(key, e.Package+" ") {
			fmt.Fprintf(t.out, "--- unfinished: %s\n%s", key, strings.Join(l, ""))
			delete(t.output, key)
			t.failed++
			t.failedIn[e.Package]++
		}
	}
	if t.failedIn[e.Package] == 0 {
		t.failed++
	}
	fmt.Fprintf(t.out, "FAIL\t%s\t%.3fs\n", e.Package, e.Elapsed)
}

func (t *tally) skip(test string, lines []string) {
	reason := "no reason given"
	for _, l := range lines {
		l = strings.TrimSpace(l)
		if l != "" && !strings.HasPrefix(l, "===") && !strings.HasPrefix(l, "---") {
			reason = l
		}
	}
	if _, after, ok := strings.Cut(reason, ": "); ok {
		reason = after
	}
	if t.reasons[reason] == 0 {
		t.order = append(t.order, reason)
	}
	t.reasons[reason]++
	if t.reasons[reason] == 1 {
		fmt.Fprintf(t.out, "skip: %s: %s\n", test, reason)
	}
}

func (t *tally) close() string {
	if len(t.order) > 0 {
		fmt.Fprintln(t.out, "skipped, by reason:")
		for _, r := range t.order {
			fmt.Fprintf(t.out, "%5d  %s\n", t.reasons[r], r)
		}
	}
	line := fmt.Sprintf("%d passed, %d failed, %d skipped", t.passed, t.failed, t.skipped)
	fmt.Fprintln(t.out, line)
	return line
}
