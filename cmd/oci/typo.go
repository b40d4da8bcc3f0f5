package main

import (
	"strings"

	"github.com/spf13/pflag"

	"github.com/oci-pipeline/oci/image/reference"
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

// nearName gives the name of the store, as short as it can be written, that an unknown one was meant to
// be; "" if none is near.
func nearName(arg string, names []string) string {
	best, least := "", 3
	for _, name := range names {
		name = strings.TrimPrefix(strings.TrimPrefix(name, reference.DefaultRegistry+"/"), reference.DefaultNamespace+"/")
		for _, short := range []string{name, strings.TrimSuffix(name, ":"+reference.DefaultTag)} {
			if d := distance(arg, short); d < least && d < len(arg)/2 {
				best, least = short, d
			}
		}
	}
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
