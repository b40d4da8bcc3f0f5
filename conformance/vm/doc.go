// Command vm runs the binary under every cgroup set-up, most of them in virtual machines, and prints
// what worked in which.
//
//	go run ./conformance/vm [--oci bin/oci] [--only v2,rootless,hybrid,v1,host,host-v1] [--runtime runc]
//
// The machines are vmlab's: a directory with the programs vm-build and vm-run, named by VMLAB (default
// ../shared/vmlab), and what vm-build made, named by VMLAB_CACHE (default ~/.cache/vmlab). What cannot
// be had is no failure: the table says why it lacks a column. host is this machine itself, and host-v1
// the same with the version 2 part of its hybrid tree hidden. guest.sh is what runs inside; --runtime
// runs the same checks on another runtime of the machine, to tell a flaw of the machine from one of ours.
//
// The exit status is 1 when a check failed, and 2 when a machine did not finish.
package main
