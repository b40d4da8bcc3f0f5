package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"time"
)

func main() {
	// Only net/http writes there: what a registry sends beside its answers. It is proved or thrown away,
	// and nothing for a person.
	log.SetOutput(io.Discard)
	os.Exit(execute(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// execute runs one command line and returns its exit status. It is the whole program but for the
// process: a test may call it.
func execute(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	if err := resumeUserNamespace(); err != nil {
		fmt.Fprintln(errOut, "oci:", err)
		return statusGeneral
	}
	a := &app{in: in, out: out, err: errOut, args: args, start: time.Now()}
	a.notes.out = errOut
	defer a.close()
	err := a.root(args).ExecuteContext(ctx)
	var exit *exitError
	if errors.As(err, &exit) && exit.err == nil {
		return exit.status
	}
	if err == nil {
		return statusOK
	}
	a.report(err)
	return exitStatus(err)
}
