package main

import (
	"strings"

	"github.com/spf13/pflag"
)

// nearFlag gives the flag that an unknown one was meant to be, "" if none is near.
func nearFlag(f *pflag.FlagSet, text string) string {
	name, ok := strings.CutPrefix(text, "unknown flag: --")
	if !ok {
		return ""
	}
	best, least := "", 3 // more than two mistakes are another word
	f.VisitAll(func(flag *pflag.Flag) {
		if d := distance(name, flag.Name); !flag.Hidden && d < least && d < len(name) {
			best, least = flag.Name, d
		}
	})
	return best
}

// distance is how many letters have to be put in, taken out or replaced to make one word of the other.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		corner := row[0]
		row[0] = i + 1
		for j := range len(b) {
			above := row[j+1]
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(above+1, row[j]+1, corner+cost)
			corner = above
		}
	}
	return row[len(b)]
}
