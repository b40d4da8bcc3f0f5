package tartest

import (
	"bytes"
	_ "embed" // the samples
	"encoding/binary"
	"io"
	"strconv"

	"github.com/klauspost/compress/gzip"
)

// Headers of real layers: the first of a Debian image, and one of an image of Python's that was changed
// much, each with its types, modes, links and whiteouts. Names and attributes are as they were made; what was
// in the files is not.
var (
	//go:embed testdata/debian.tar.gz
	sampleDebian []byte
	//go:embed testdata/python.tar.gz
	samplePython []byte
)

// Samples gives the tars of samples of real layers.
func Samples() [][]byte {
	var list [][]byte
	for _, packed := range [][]byte{sampleDebian, samplePython} {
		z, err := gzip.NewReader(bytes.NewReader(packed))
		if err != nil {
			panic(err)
		}
		raw, err := io.ReadAll(z)
		if err != nil {
			panic(err)
		}
		list = append(list, raw)
	}
	return list
}

// opSize is how many bytes of a program make one step.
const opSize = 6

// steps cuts a program into steps.
func steps(program []byte) [][]byte {
	var list [][]byte
	for len(program) >= opSize && len(list) < 200 {
		list = append(list, program[:opSize])
		program = program[opSize:]
	}
	return list
}

// Program gives the layers that a program of bytes describes: what a fuzzer changes then changes entries
// that make sense, in names that meet each other.
func Program(program []byte) [][]Entry {
	layers := [][]Entry{nil}
	for _, s := range steps(program) {
		if s[0]%16 == 15 && len(layers) < 4 {
			layers = append(layers, nil)
			continue
		}
		last := &layers[len(layers)-1]
		*last = append(*last, programEntry(s))
	}
	return layers
}

func programEntry(s []byte) Entry {
	name, other := programName(s[1]), programName(s[2])
	var e Entry
	switch s[0] % 16 {
	case 0, 1, 2:
		e = Dir(name)
	case 3, 4, 5, 6:
		e = File(name, strconv.Itoa(int(s[2])))
	case 7:
		e = Symlink(name, []string{other, "/" + other, "../" + other, "../../out", "/", "."}[s[3]%6])
	case 8, 9:
		e = Link(name, []string{other, "/" + other, "./" + other}[s[3]%3])
	case 10, 11:
		e = Whiteout(name)
	case 12:
		e = Opaque(name)
	case 13:
		e = Entry{Name: name, Type: "346"[s[2]%3], Major: int64(s[3] % 2), Minor: 3}
	case 14:
		e = []Entry{{Name: "./", Type: '5'}, Symlink("./.", other), File("../"+name, "x"), File(".wh..wh.plnk/1", "x"), Link(name, ".wh..wh.plnk/1"), {Name: name, Type: 'S'}}[s[2]%6]
	}
	e.Mtime, e.UID, e.GID = int64(s[4]), int64(s[4]%3), int64(s[5]%3)
	if modes := []int64{0, 0o4755, 0o2775, 0o500, 0o1777, -1}; e.Type != '2' {
		e.Mode = modes[s[5]/3%6]
	}
	if s[5] >= 250 {
		e.PAX = map[string]string{"SCHILY.xattr.user.x": string(s), "mtime": "1.5"}
	}
	return e
}

func programName(b byte) string {
	name := string(rune('a' + b%3))
	for b /= 3; b > 0 && len(name) < 7; b /= 4 {
		if b%4 == 3 {
			break
		}
		name += "/" + string(rune('a'+b%4))
	}
	return name
}

// Mutant changes a tar at the level of its headers, as a program of bytes says: flips, insertions,
// deletions, copies and exchanges of whole entries, and of the fields of one. Checksums are right
// afterwards.
func Mutant(tar, program []byte) []byte {
	list := records(tar)
	for _, s := range steps(program) {
		if len(list) == 0 {
			break
		}
		i, j := int(s[1])%len(list), int(s[2])%len(list)
		switch s[0] % 8 {
		case 0:
			list = append(list[:i:i], list[i+1:]...)
		case 1: // a copy, later or earlier
			list = append(list[:j:j], append([][]byte{bytes.Clone(list[i])}, list[j:]...)...)
		case 2:
			list[i], list[j] = list[j], list[i]
		case 3: // a field of one in place of another's
			copyField(list[i], list[j], s[3])
		case 4:
			flip(list[i], binary.LittleEndian.Uint16(s[3:]), s[5])
		case 5:
			list = append(list[:i:i], append([][]byte{Entries(programEntry(s[:opSize]))}, list[i:]...)...)
		case 6: // an entry cut in its blocks
			list[i] = list[i][:int(s[3])%(len(list[i])/512+1)*512]
		case 7:
			setField(list[i], s)
		}
	}
	out := append(bytes.Join(list, nil), make([]byte, 1024)...)
	for i := 0; i+512 <= len(out); i += 512 {
		if string(out[i+257:i+262]) == "ustar" {
			Checksum(out[i : i+512])
		}
	}
	return out
}

// records cuts a tar into entries, each with the special headers that belong to it.
func records(tar []byte) [][]byte {
	var list [][]byte
	for start, i := 0, 0; i+512 <= len(tar) && tar[i] != 0; {
		size, _ := strconv.ParseInt(string(bytes.Trim(tar[i+124:i+136], " \x00")), 8, 32)
		flag := tar[i+156]
		i = min(i+512+int(size+511)&^511, len(tar))
		if flag != 'x' && flag != 'L' && flag != 'K' {
			list = append(list, bytes.Clone(tar[start:i]))
			start = i
		}
	}
	return list
}

// fields are the places of a header: name, mode, owners, size, time, type, target, magic, device.
func fields() [][2]int {
	return [][2]int{{0, 100}, {100, 108}, {108, 116}, {116, 124}, {124, 136}, {136, 148}, {156, 157}, {157, 257}, {257, 265}, {329, 345}, {345, 500}}
}

func copyField(to, from []byte, which byte) {
	f := fields()[int(which)%len(fields())]
	if len(to) >= 512 && len(from) >= 512 {
		copy(to[f[0]:f[1]], from[f[0]:f[1]])
	}
}

func flip(b []byte, at uint16, mask byte) {
	if len(b) > 0 {
		b[int(at)%len(b)] ^= mask
	}
}

// setField writes what is likely to matter.
func setField(b, s []byte) {
	if len(b) < 512 {
		return
	}
	if s[5]%2 == 0 {
		b = b[len(b)-512:] // the header, where special ones come before it and no content after it
	}
	names := []string{"..", "/", ".", "a/../b", "../../out/secret", ".wh.", ".wh..", ".wh..wh..opq", "/proc/self/root", "usr/bin", "opt/links/b", "\xff"}
	switch f := fields()[int(s[2])%len(fields())]; f[0] {
	case 0, 157:
		clear(b[f[0]:f[1]])
		copy(b[f[0]:f[1]], names[int(s[3])%len(names)])
	case 156:
		b[156] = "0123456789xgLKSDMVNX\x00"[int(s[3])%21]
	default:
		Number(b[f[0]:f[1]], int64(int8(s[3]))<<(s[4]%40))
	}
}
