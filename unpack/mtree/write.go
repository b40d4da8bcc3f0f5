package mtree

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/oci-pipeline/oci/unpack"
)

// Write writes the manifest with these keywords. comments are lines for people at its head.
func (f *File) Write(w io.Writer, keywords []string, comments ...string) error {
	b := bufio.NewWriterSize(w, 64<<10)
	fmt.Fprintln(b, "#mtree")
	for _, c := range comments {
		b.WriteByte('#')
		for word := range strings.FieldsSeq(c) {
			fmt.Fprintf(b, " %s", Vis(word))
		}
		b.WriteByte('\n')
	}
	p := &printer{b: b, keywords: keywords}
	p.file(f, 0)
	if err := b.Flush(); err != nil {
		return fmt.Errorf("write the mtree manifest: %w", err)
	}
	return nil
}

type printer struct {
	b        *bufio.Writer
	keywords []string
	line     []byte
}

// file writes a file, and what is in it: a directory is what the lines up to its ".." are in. Files come
// before directories, as mtree prints them.
func (p *printer) file(f *File, depth int) {
	p.indent(depth)
	p.line = append(p.line[:0], Vis(f.name)...)
	for _, k := range p.keywords {
		p.line = f.append(p.line, k)
	}
	p.line = append(p.line, '\n')
	p.b.Write(p.line) // an error stays in b
	if f.kind != unpack.Directory {
		return
	}
	for _, dirs := range []bool{false, true} {
		for _, c := range f.children {
			if (c.kind == unpack.Directory) == dirs {
				p.file(c, depth+1)
			}
		}
	}
	p.indent(depth)
	p.b.WriteString("..\n")
}

// indent shows people what is in what. It stops at some depth: a tree can be deep.
func (p *printer) indent(depth int) {
	for range min(depth, 16) {
		p.b.WriteString("    ")
	}
}
