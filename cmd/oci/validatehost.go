package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/oci-pipeline/oci/bundle"
	"github.com/oci-pipeline/oci/bundle/host"
	"github.com/oci-pipeline/oci/conformance/spec"
	"github.com/oci-pipeline/oci/runtime"
)

// judgedBundle is the JSON of validate bundle. `oci help output` documents the fields.
type judgedBundle struct {
	Subject    string        `json:"subject"`
	Kind       string        `json:"kind"` // bundle
	Platform   string        `json:"platform"`
	Problems   []problem     `json:"problems"`
	Summary    bundleSummary `json:"summary"`
	DurationMs int64         `json:"durationMs"`
}

// bundleSummary counts, and says what comes of it.
type bundleSummary struct {
	Must    int          `json:"must"`
	Should  int          `json:"should"`
	May     int          `json:"may"`
	Host    *hostSummary `json:"host,omitempty"` // with --host
	Verdict string       `json:"verdict"`
}

// The verdicts.
const (
	verdictValid   = "valid"
	verdictInvalid = "invalid" // the status is 10
	verdictUnable  = "unable"  // this host cannot run it: the status is 7
)

// hostSummary counts what this machine lacks.
type hostSummary struct {
	Refused int `json:"refused"`
	Changed int `json:"changed"`
}

// levelHost is the level of what no clause asks for and this machine cannot do.
const levelHost = "HOST"

// hostFindings asks this machine about a config. What is at a place where a MUST is broken has been told.
func hostFindings(ctx context.Context, name string, v bundle.Verdict) ([]host.Finding, error) {
	if v.Platform != bundle.Linux {
		return nil, usageErrorf(nil, "validate bundle %s: --host is for the platform linux, and this is judged for %s", name, v.Platform)
	}
	dir := ""
	if fi, err := os.Stat(name); name != "-" && err == nil && fi.IsDir() {
		if dir, err = filepath.Abs(name); err != nil {
			return nil, fmt.Errorf("validate bundle %s: %w", name, err)
		}
	}
	facts, err := host.Probe(ctx, v.Spec, dir)
	if err != nil {
		return nil, fmt.Errorf("validate bundle %s: %w", name, err)
	}
	if v.Spec.Linux != nil {
		facts.UnknownCalls = map[string]bool{}
		for _, call := range runtime.UnknownCalls(v.Spec.Linux.Seccomp) {
			facts.UnknownCalls[call] = true
		}
	}
	told := map[string]bool{}
	for _, p := range v.Problems.Must() {
		told[p.Pointer] = true
	}
	var found []host.Finding
	for _, f := range host.Judge(v.Spec, facts) {
		if !told[f.Pointer] {
			found = append(found, f)
		}
	}
	return found, nil
}

// summarize counts. Only a judgement of the host has its counts.
func summarize(problems bundle.Problems, found []host.Finding, o validateOptions) bundleSummary {
	s := bundleSummary{Must: len(problems.Must()), Verdict: verdictValid}
	for _, p := range problems {
		if p.Clause.Level == spec.Should {
			s.Should++
		}
	}
	s.May = len(problems) - s.Must - s.Should
	unable := false
	if o.host {
		s.Host = &hostSummary{}
		for _, f := range found {
			if f.Effect == host.Refused {
				s.Host.Refused++
			} else {
				s.Host.Changed++
			}
		}
		unable = s.Host.Refused > 0 || o.strict && s.Host.Changed > 0
	}
	switch {
	case s.Must > 0 || o.strict && s.Should > 0:
		s.Verdict = verdictInvalid
	case unable:
		s.Verdict = verdictUnable
	}
	return s
}

// failure is the error that a judgement is; strict counts what is no more than advice too.
func (s bundleSummary) failure(name string, strict bool) error {
	n := s.Must
	if strict {
		n += s.Should
	}
	switch s.Verdict {
	case verdictInvalid:
		return &exitError{statusMalformed, fmt.Errorf("validate bundle %s: %d problems", name, n)}
	case verdictUnable:
		n = s.Host.Refused
		if strict {
			n += s.Host.Changed
		}
		return &exitError{statusPlatform, fmt.Errorf("validate bundle %s: this host lacks %d of what it asks for", name, n)}
	}
	return nil
}

// line is the last one of the text.
func (s bundleSummary) line(name string, p bundle.Platform) string {
	text := fmt.Sprintf("%s: %s, %d MUST, %d SHOULD, %d MAY", safeText(name), p, s.Must, s.Should, s.May)
	if s.Host != nil {
		text += fmt.Sprintf("; host: %d refused, %d changed", s.Host.Refused, s.Host.Changed)
	}
	return text
}

// problemsOf is the list for programs.
func problemsOf(problems bundle.Problems, found []host.Finding) []problem {
	list := []problem{}
	for _, p := range problems {
		level := string(p.Clause.Level)
		if level == "" {
			level = string(spec.Must)
		}
		list = append(list, problem{Pointer: p.Pointer, Level: level, Clause: p.Clause.String(), URL: p.Clause.URL(), Problem: p.Err.Error(), Hint: p.Hint})
	}
	for _, f := range found {
		list = append(list, problem{Pointer: f.Pointer, Level: levelHost, Effect: string(f.Effect), Problem: f.Err.Error(), Hint: f.Hint})
	}
	return list
}

// linesOf is the list for people.
func linesOf(problems bundle.Problems, found []host.Finding) string {
	var b strings.Builder
	for _, p := range problems {
		b.WriteString(safeText(p.Error()) + "\n")
		if p.Hint != "" {
			b.WriteString("    write: " + safeText(p.Hint) + "\n")
		}
	}
	for _, f := range found {
		b.WriteString(safeText(f.Error()) + "\n    instead: " + safeText(f.Hint) + "\n")
	}
	return b.String()
}
