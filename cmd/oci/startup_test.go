package main

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"testing"
)

// What package initialisation may cost in all. Bytes and allocations repeat from run to run, so
// their bounds are close; a bound on time has to hold on a loaded machine.
const (
	maxInitAllocs = 1700
	maxInitBytes  = 300 << 10
	maxInitMillis = 20.0
)

// TestStartUpCost adds up GODEBUG=inittrace=1 for the cheapest verb: start-up is part of every
// container's start. The packages that cost most are printed with -v.
func TestStartUpCost(t *testing.T) {
	cmd := exec.Command(binary(t), "version")
	cmd.Env = append(os.Environ(), "GODEBUG=inittrace=1")
	var trace bytes.Buffer
	cmd.Stderr = &trace
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`^init (\S+) @\S+ ms, (\S+) ms clock, (\d+) bytes, (\d+) allocs`)
	var millis float64
	var size, allocs int
	for s := bufio.NewScanner(&trace); s.Scan(); {
		m := line.FindStringSubmatch(s.Text())
		if m == nil {
			continue
		}
		ms, _ := strconv.ParseFloat(m[2], 64)
		b, _ := strconv.Atoi(m[3])
		n, _ := strconv.Atoi(m[4])
		millis, size, allocs = millis+ms, size+b, allocs+n
		if b > 4<<10 || n > 30 {
			t.Logf("%-50s %6.3f ms %7d bytes %4d allocs", m[1], ms, b, n)
		}
	}
	t.Logf("in all: %.3f ms, %d bytes, %d allocs", millis, size, allocs)
	if size == 0 {
		t.Fatal("inittrace printed nothing that this test reads")
	}
	if allocs > maxInitAllocs || size > maxInitBytes || millis > maxInitMillis {
		t.Errorf("init costs %.3f ms, %d bytes, %d allocs; at most %.0f ms, %d bytes, %d allocs",
			millis, size, allocs, maxInitMillis, maxInitBytes, maxInitAllocs)
	}
}
