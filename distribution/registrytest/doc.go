// Package registrytest runs the registry of package registry inside a test, and makes it lie.
//
// New starts it on a loopback port; NewInMemory on connections that are pipes, so that a test in
// a testing/synctest bubble sees its time-outs and waits pass at once. A Rule picks requests and
// gives each that matches to a Fault: cut and altered bodies, wrong headers, error statuses,
// answers that lie about ranges, hangs, redirects that catch credentials.
//
// For tests only: it fails the test it is given on every error of its own.
package registrytest
