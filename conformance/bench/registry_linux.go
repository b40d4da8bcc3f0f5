package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

const registryConfig = `version: 0.1
log: {level: error, accesslog: {disabled: %v}}
storage: {filesystem: {rootdirectory: %q}}
http: {addr: %q}
`

// A registry is Debian's docker-registry at work.
type registry struct {
	addr string
	log  string // of its requests; "" for none
	stop func()
}

// registryPlace says where a registry is to run.
type registryPlace struct {
	addr     string
	within   func(func() error) error // calls a function in the network namespace of the place
	requests string                   // file for the log of requests; "" for none
}

// startRegistry starts one on a free port of the loopback interface.
func startRegistry(ctx context.Context, o options) (addr string, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	addr = l.Addr().String()
	l.Close()
	r, err := startRegistryOn(ctx, o, registryPlace{addr: addr, within: func(f func() error) error { return f() }})
	if err != nil {
		return "", nil, err
	}
	return r.addr, r.stop, nil
}

func startRegistryOn(ctx context.Context, o options, p registryPlace) (*registry, error) {
	if why := absent("docker-registry", "skopeo"); why != "" {
		return nil, errors.New(why)
	}
	dir, err := os.MkdirTemp(o.scratch, "registry-")
	if err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "config.yml")
	text := fmt.Sprintf(registryConfig, p.requests == "", filepath.Join(dir, "data"), p.addr)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "docker-registry", "serve", config)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // also when this program is killed
	if p.requests != "" {
		out, err := os.Create(p.requests)
		if err != nil {
			return nil, err
		}
		defer out.Close()
		cmd.Stdout, cmd.Stderr = out, out
	}
	if err := p.within(cmd.Start); err != nil {
		return nil, err
	}
	r := &registry{addr: p.addr, log: p.requests, stop: func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = os.RemoveAll(dir)
	}}
	for range 100 {
		err = p.within(func() error {
			c, err := net.Dial("tcp", p.addr)
			if err == nil {
				c.Close()
			}
			return err
		})
		if err == nil {
			return r, nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	r.stop()
	return nil, fmt.Errorf("docker-registry does not answer on %s: %w", p.addr, err)
}
