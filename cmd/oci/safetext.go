package main

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// unsafeRune tells whether a character may do something to a terminal, or make text look like another:
// controls (ASCII's and those from U+0080 on, which some terminals obey), marks of direction, and what is no
// character at all.
func unsafeRune(r rune) bool {
	return r < ' ' || r >= 0x7f && r < 0xa0 || r == utf8.RuneError ||
		r >= 0x200b && r <= 0x200f || r >= 0x2028 && r <= 0x202e || r >= 0x2060 && r <= 0x206f || r == 0xfeff ||
		r > 0x7f && !unicode.IsPrint(r)
}

// safeText makes text that may be a stranger's safe for a terminal: what is not safe appears as a Go escape.
// Lines stay, each but the first indented, so that none can pass for one of ours.
func safeText(s string) string {
	if strings.IndexFunc(s, unsafeRune) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\n':
			b.WriteString("\n     ")
		case r == '\t':
			b.WriteByte(' ')
		case unsafeRune(r):
			escapeRune(&b, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// escapeRune writes a character as Go and JSON escape it.
func escapeRune(b *strings.Builder, r rune) {
	if r > 0xffff {
		r -= 0x10000 // a surrogate pair, which JSON understands
		fmt.Fprintf(b, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		return
	}
	fmt.Fprintf(b, `\u%04x`, r)
}

// quote puts text that may be a stranger's between quotation marks.
func quote(s string) string { return `"` + safeText(s) + `"` }
