package host

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// joined sorts ranges, and makes one of those that touch.
func joined(list []Range) []Range {
	slices.SortFunc(list, func(a, b Range) int { return cmp.Compare(a.First, b.First) })
	out := list[:0]
	for _, r := range list {
		if n := len(out); n > 0 && r.First <= out[n-1].Last+1 {
			out[n-1].Last = max(out[n-1].Last, r.Last)
		} else {
			out = append(out, r)
		}
	}
	return out
}

// at gives the first range that ends at n or later.
func at(have []Range, n uint64) (Range, bool) {
	i, _ := slices.BinarySearchFunc(have, n, func(r Range, n uint64) int { return cmp.Compare(r.Last, n) })
	if i == len(have) {
		return Range{}, false
	}
	return have[i], true
}

// covered tells whether all of want lies in the ranges.
func covered(have []Range, want Range) bool {
	r, ok := at(have, want.First)
	return ok && r.First <= want.First && want.Last <= r.Last
}

// touched tells whether a part of want lies in the ranges.
func touched(have []Range, want Range) bool {
	r, ok := at(have, want.First)
	return ok && r.First <= want.Last
}

// ranges writes a list as cpuset(7) does, the first of many.
func ranges(list []Range) string {
	var b strings.Builder
	for i, r := range list {
		if i > 0 {
			b.WriteByte(',')
		}
		if i == 8 {
			b.WriteString("...")
			break
		}
		b.WriteString(strconv.FormatUint(r.First, 10))
		if r.Last != r.First {
			b.WriteString("-" + strconv.FormatUint(r.Last, 10))
		}
	}
	if len(list) == 0 {
		return "none"
	}
	return b.String()
}

// maxList is the length of the longest list that is read: one of 8192 processors, each by itself, has 40 KiB.
const maxList = 64 << 10

// parseRanges reads a list such as "0-3,7". What is no list is none.
func parseRanges(text string) ([]Range, bool) {
	list := []Range{}
	if len(text) > maxList {
		return nil, false
	}
	for part := range strings.SplitSeq(strings.TrimSpace(text), ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		first, last, ranged := strings.Cut(part, "-")
		a, err := strconv.ParseUint(first, 10, 32)
		b := a
		if err == nil && ranged {
			b, err = strconv.ParseUint(last, 10, 32)
		}
		if err != nil || b < a {
			return nil, false
		}
		list = append(list, Range{a, b})
	}
	return joined(list), true
}

// numbered judges a list of processors or memory nodes: what is asked for, what there is.
func numbered(text string, have []Range) (some, all bool) {
	want, ok := parseRanges(text)
	if !ok || have == nil || len(want) == 0 {
		return true, true
	}
	all = true
	for _, w := range want {
		some = some || touched(have, w)
		all = all && covered(have, w)
	}
	return some, all
}
