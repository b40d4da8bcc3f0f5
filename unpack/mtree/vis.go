package mtree

// Vis encodes a name as vis(3) with VIS_WHITE|VIS_OCTAL|VIS_GLOB, byte by byte: what is no plain ASCII character,
// white space, and what begins a comment or a pattern becomes an octal escape of three digits; a backslash
// is doubled.
func Vis(name string) string {
	if !needsVis(name) {
		return name
	}
	out := make([]byte, 0, len(name)+16)
	for i := range len(name) {
		switch c := name[i]; {
		case c == '\\':
			out = append(out, '\\', '\\')
		case escaped(c):
			out = append(out, '\\', '0'+c>>6, '0'+c>>3&7, '0'+c&7)
		default:
			out = append(out, c)
		}
	}
	return string(out)
}

func needsVis(name string) bool {
	for i := range len(name) {
		if name[i] == '\\' || escaped(name[i]) {
			return true
		}
	}
	return false
}

func escaped(c byte) bool {
	return c <= ' ' || c >= 0x7f || c == '*' || c == '?' || c == '[' || c == '#'
}
