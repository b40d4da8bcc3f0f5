package main

import (
	"fmt"
	"net"
	"os"
	goruntime "runtime"
	"time"

	"golang.org/x/sys/unix"
)

// What a client on a slow link sees: the delay is that of one direction.
const (
	linkRate  = 100_000_000 / 8 // bytes a second
	linkDelay = 10 * time.Millisecond
	linkQueue = 1000 // packets; the default of the kernel's netem
)

// A link joins two network namespaces that have nothing else. It is this program that moves the
// packets, one by one, so that it needs no queueing discipline that a kernel may lack.
type link struct {
	server, client *namespace
}

const (
	serverAddr = "10.231.0.1"
	clientAddr = "10.231.0.2"
)

func newLink() (*link, error) {
	var l link
	var err error
	if l.server, err = newNamespace(serverAddr); err != nil {
		return nil, fmt.Errorf("network namespace: %w", err)
	}
	if l.client, err = newNamespace(clientAddr); err != nil {
		l.server.close()
		return nil, fmt.Errorf("network namespace: %w", err)
	}
	go move(l.client.tun, l.server.tun)
	go move(l.server.tun, l.client.tun)
	return &l, nil
}

func (l *link) close() {
	l.server.close()
	l.client.close()
}

// move carries the packets of one direction until the devices are closed. What the queue has no room
// for is dropped, as a router would.
func move(from, to *os.File) {
	type packet struct {
		data []byte
		at   time.Time
	}
	queue := make(chan packet, linkQueue)
	go func() {
		defer close(queue)
		buf := make([]byte, 64<<10)
		for {
			n, err := from.Read(buf)
			if err != nil {
				return
			}
			select {
			case queue <- packet{append([]byte(nil), buf[:n]...), time.Now()}:
			default:
			}
		}
	}()
	var free time.Time // when the wire is free again
	for p := range queue {
		if p.at.After(free) {
			free = p.at
		}
		free = free.Add(time.Duration(len(p.data)) * time.Second / linkRate)
		time.Sleep(time.Until(free.Add(linkDelay)))
		if _, err := to.Write(p.data); err != nil {
			return
		}
	}
}

// A namespace is a network namespace with a TUN device, and the thread that is in it.
type namespace struct {
	work chan func()
	tun  *os.File
}

func newNamespace(addr string) (*namespace, error) {
	n := &namespace{work: make(chan func())}
	ready := make(chan error)
	go func() {
		goruntime.LockOSThread() // for good: the thread ends with the goroutine
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			n.tun, err = openTUN(addr)
		}
		ready <- err
		for f := range n.work {
			f()
		}
	}()
	if err := <-ready; err != nil {
		close(n.work)
		return nil, err
	}
	return n, nil
}

// run calls f in the namespace. Processes that f starts are in it too.
func (n *namespace) run(f func() error) error {
	done := make(chan error)
	n.work <- func() { done <- f() }
	return <-done
}

func (n *namespace) close() {
	_ = n.tun.Close()
	close(n.work)
}

// openTUN makes a device in the namespace of the thread, with an address in a network of four.
func openTUN(addr string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	const name = "link0"
	dev, err := unix.NewIfreq(name)
	if err == nil {
		dev.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, dev)
	}
	if err == nil {
		err = configure(name, addr)
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("TUN device: %w", err)
	}
	return os.NewFile(uintptr(fd), "/dev/net/tun"), nil
}

// configure gives the device its address and brings it, and the loopback device, up.
func configure(name, addr string) error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s) //nolint:errcheck // only ioctls were made
	for _, set := range []struct {
		request uint
		value   net.IP
	}{{unix.SIOCSIFADDR, net.ParseIP(addr)}, {unix.SIOCSIFNETMASK, net.IPv4(255, 255, 255, 252)}} {
		r, err := unix.NewIfreq(name)
		if err == nil {
			err = r.SetInet4Addr(set.value.To4())
		}
		if err == nil {
			err = unix.IoctlIfreq(s, set.request, r)
		}
		if err != nil {
			return err
		}
	}
	for _, dev := range []string{"lo", name} {
		r, err := unix.NewIfreq(dev)
		if err != nil {
			return err
		}
		r.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
		if err := unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, r); err != nil {
			return err
		}
	}
	return nil
}
