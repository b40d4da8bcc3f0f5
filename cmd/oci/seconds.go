package main

import (
	"fmt"
	"strconv"
	"time"
)

// seconds is a duration as a flag: a number of seconds, as Docker has it, or Go's syntax.
type seconds time.Duration

// String gives Go's syntax.
func (s *seconds) String() string { return time.Duration(*s).String() }

// Set reads either syntax.
func (s *seconds) Set(v string) error {
	if n, err := strconv.ParseInt(v, 10, 32); err == nil {
		*s = seconds(time.Duration(n) * time.Second)
		return nil
	}
	d, err := time.ParseDuration(v)
	if err != nil {
		return fmt.Errorf("want a number of seconds, or a duration such as 1m30s")
	}
	*s = seconds(d)
	return nil
}

// Type is the name of the value in help texts.
func (s *seconds) Type() string { return "duration" }
