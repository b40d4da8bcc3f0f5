package tartest

import (
	"os"
	"runtime"
	"testing"
	"time"
)

// Leaks notes what this process has, and gives a check that it has no more of it: descriptors, goroutines.
func Leaks(tb testing.TB) func() {
	tb.Helper()
	goroutines, files := runtime.NumGoroutine(), descriptors(tb)
	return func() {
		tb.Helper()
		for range 100 { // a goroutine that has said its last may still be there
			if runtime.NumGoroutine() <= goroutines {
				break
			}
			time.Sleep(time.Millisecond)
		}
		if n := runtime.NumGoroutine(); n > goroutines {
			tb.Errorf("%d goroutines are left, %d before", n, goroutines)
		}
		if n := descriptors(tb); n > files {
			tb.Errorf("%d descriptors are left, %d before", n, files)
		}
	}
}

func descriptors(tb testing.TB) int {
	tb.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		tb.Fatal(err)
	}
	return len(list)
}
