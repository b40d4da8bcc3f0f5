package main

import (
	"cmp"
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// sample is what one command cost.
type sample struct {
	wall, cpu time.Duration
	rss       int64 // peak resident bytes of its largest process; the figure of this program is its floor
}

// tool is one contender in a work.
type tool struct {
	name   string
	absent string                                  // why it cannot take part; "" when it can
	once   func(context.Context) ([]sample, error) // one round: a sample for each step of the work
	note   string                                  // said beside the name
}

// work is what the tools are compared at. The first tool is the one the others are compared with.
type work struct {
	title   string
	steps   []string // names of the samples a round gives; the sum is a row of its own when there are several
	targets map[string]string
	rounds  int
	quick   int
	tools   []tool
	memory  bool              // report the peak memory too
	count   map[string]string // instead of all that: one plain figure a tool

	requests map[string]string // what each tool asked of the registry in the last round, for a note
}

// result holds the samples of one tool, by step and then by round; the last step is the sum.
type result struct {
	steps [][]sample
	err   error
}

// interleave gives every tool one turn a round. A tool that fails keeps its error and drops out.
// The first round warms caches and is not counted.
func (w work) interleave(ctx context.Context, quick bool) []result {
	rounds := w.rounds
	if quick {
		rounds = w.quick
	}
	results := make([]result, len(w.tools))
	if w.count != nil {
		return results
	}
	for round := range rounds + 1 {
		for i, t := range w.tools {
			if t.absent != "" || results[i].err != nil {
				continue
			}
			got, err := t.once(ctx)
			if err != nil {
				results[i].err = err
				continue
			}
			if round > 0 {
				results[i].add(got)
			}
		}
	}
	return results
}

func (r *result) add(round []sample) {
	if len(round) > 1 {
		round = append(round, sum(round))
	}
	if r.steps == nil {
		r.steps = make([][]sample, len(round))
	}
	for i, s := range round {
		r.steps[i] = append(r.steps[i], s)
	}
}

func sum(samples []sample) (all sample) {
	for _, s := range samples {
		all.wall += s.wall
		all.cpu += s.cpu
		all.rss = max(all.rss, s.rss)
	}
	return all
}

// timed runs one command to its end, without input, output or terminal, and says what it cost. Its
// streams are /dev/null and not pipes: a container that outlives the command would hold a pipe open.
func timed(cmd *exec.Cmd) (sample, error) {
	start := time.Now()
	err := cmd.Run()
	s := sample{wall: time.Since(start)}
	if err != nil {
		return s, fmt.Errorf("%s: %w: %s", strings.Join(short(cmd.Args), " "), err, explain(cmd))
	}
	s.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	if u, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		s.rss = u.Maxrss * 1024
	}
	return s, nil
}

// explain runs a failed command once more to hear what it says.
func explain(cmd *exec.Cmd) string {
	again := exec.Command(cmd.Path, cmd.Args[1:]...)
	again.Env, again.Dir = cmd.Env, cmd.Dir
	again.WaitDelay = time.Second
	out, _ := again.CombinedOutput()
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return lines[len(lines)-1]
}

func short(args []string) []string { return args[:min(len(args), 4)] }

// timedAll runs commands one after another, each a step.
func timedAll(cmds ...*exec.Cmd) ([]sample, error) {
	var all []sample
	for _, cmd := range cmds {
		s, err := timed(cmd)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

func median[T cmp.Ordered](samples []sample, of func(sample) T) T {
	v := make([]T, len(samples))
	for i, s := range samples {
		v[i] = of(s)
	}
	slices.Sort(v)
	return v[len(v)/2]
}

func least(samples []sample, of func(sample) time.Duration) time.Duration {
	return of(slices.MinFunc(samples, func(a, b sample) int { return cmp.Compare(of(a), of(b)) }))
}

func wall(s sample) time.Duration { return s.wall }
func cpu(s sample) time.Duration  { return s.cpu }
func rss(s sample) int64          { return s.rss }
