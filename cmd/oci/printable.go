package main

import "strings"

// What an image, an index, another tool's index.json or a registry says may hold escape sequences,
// and marks that turn the direction of text: a terminal would act on them (H-85). What a person gets
// to see passes through one of these; JSON and templates give values as they are.

// oneLine makes text safe for a terminal, on one line.
func oneLine(s string) string {
	return strings.Map(inert, strings.Join(strings.Fields(s), " "))
}

// message makes text of several lines safe for a terminal.
func message(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return r
		}
		return inert(r)
	}, s)
}

// inert gives U+FFFD for a control and for a mark of direction.
func inert(r rune) rune {
	switch {
	case r < ' ', r >= 0x7f && r < 0xa0, r == 0x61c, r == 0x200e, r == 0x200f, r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069:
		return '\ufffd'
	}
	return r
}
