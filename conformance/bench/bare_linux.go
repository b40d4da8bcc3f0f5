package main

import (
	"context"
	_ "embed"
	"os"
	"os/exec"
	"path/filepath"
)

// bareSource is the yardstick: what the kernel alone takes for such a container.
//
//go:embed testdata/bare.c
var bareSource []byte

// bareTool compiles the yardstick, where there is a C compiler.
func bareTool(ctx context.Context, b *startBundle) tool {
	t := tool{name: "bare C", note: "the system calls alone, with fixed arguments and no checks: a floor, not a runtime"}
	program := filepath.Join(b.o.scratch, "bare")
	source := program + ".c"
	if t.absent = absent("gcc"); t.absent != "" {
		return t
	}
	if err := os.WriteFile(source, bareSource, 0o600); err != nil {
		t.absent = err.Error()
		return t
	}
	if out, err := exec.CommandContext(ctx, "gcc", "-O2", "-static", "-o", program, source).CombinedOutput(); err != nil {
		t.absent = string(out)
		return t
	}
	t.once = func(ctx context.Context) ([]sample, error) {
		return timedAll(exec.CommandContext(ctx, program, filepath.Join(b.dir, "rootfs"), b.id(), "/bin/true"))
	}
	return t
}
