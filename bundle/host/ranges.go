package host

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// covered tells whether all of want lies in the ranges.
func covered(have []Range, want Range) bool {
	sorted := slices.SortedFunc(slices.Values(have), func(a, b Range) int { return cmp.Compare(a.First, b.First) })
	for _, r := range sorted {
		if want.First < r.First {
			return false
		}
		if want.First <= r.Last {
			if want.Last <= r.Last {
				return true
			}
			want.First = r.Last + 1
		}
	}
	return false
}

// touched tells whether a part of want lies in the ranges.
func touched(have []Range, want Range) bool {
	return slices.ContainsFunc(have, func(r Range) bool { return want.First <= r.Last && r.First <= want.Last })
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

// parseRanges reads a list such as "0-3,7". What is no list is none.
func parseRanges(text string) ([]Range, bool) {
	list := []Range{}
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
	return list, true
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
