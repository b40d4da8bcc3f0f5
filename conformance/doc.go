// Package conformance holds the tests that look at the project as a whole: which package may
// import which, that everything exported is documented, that README.md tells the truth, and that
// every clause of the ledger (conformance/spec) is kept by some stage, and every duty and hazard of
// testdata/duties.txt shown by a test that has its ID in its name.
package conformance
