package tree_test

import (
	"path"
	"slices"
	"strings"

	"github.com/oci-pipeline/oci/unpack/tartest"
)

// complete gives the stack as those who make layers write it: names in one spelling, and before the entries of a
// layer one for each directory on the way to them.
func (s stack) complete() stack {
	var out stack
	for _, entries := range s {
		seen := map[string]bool{}
		var all []tartest.Entry
		for _, e := range entries {
			comps := strings.Split(cleaned(e.Name), "/")
			for i := range comps {
				dir := strings.Join(comps[:i], "/")
				if !seen[dir] && !strings.HasPrefix(dir, ".wh.") {
					all = append(all, tartest.Entry{Name: "./" + dir, Type: '5', Mtime: 500})
				}
				seen[dir] = true
			}
		}
		for _, e := range entries {
			e.Name = "./" + cleaned(e.Name)
			all = append(all, e)
		}
		out = append(out, all)
	}
	return out
}

// plain leaves out the entries for which a name leads through what is no directory, or is there twice: what
// those who make layers do not do.
func (s stack) plain() stack {
	var out stack
	for _, entries := range s {
		out = append(out, nil)
		last := len(out) - 1
		for _, e := range entries {
			before := out[last]
			out[last] = append(slices.Clone(before), e)
			if f := out.facts(); f.throughLink || f.belowFile || len(f.twice) > 0 {
				out[last] = before
			}
		}
	}
	return out
}

func cleaned(name string) string { return strings.TrimPrefix(path.Clean("/"+name), "/") }

// facts are what other tools do otherwise than layer.md, so far as a stack has it.
type facts struct {
	throughLink bool            // a name, or the target of a hardlink, leads through a name that is a symbolic link at some time
	belowFile   bool            // the same for another file that is no directory
	aufs        bool            // AUFS's own names
	bare        bool            // a whiteout of nothing
	odd         bool            // a name of a whiteout that is none
	twice       map[string]bool // names that a layer has more than once
	libarchive  bool
	acls        bool // records of ACLs as text
	hiddenLink  bool // a hardlink to a name that the layer hides as well
}

func (s stack) facts() facts {
	links, files := map[string]bool{}, map[string]bool{}
	for _, entries := range s {
		for _, e := range entries {
			switch e.Type {
			case '1', '2':
				links[cleaned(e.Name)] = true
			case '5':
			default:
				files[cleaned(e.Name)] = true
			}
		}
	}
	f := facts{twice: map[string]bool{}}
	for _, entries := range s {
		seen := map[string]int{}
		hidden := map[string]bool{}
		for _, e := range entries {
			name := cleaned(e.Name)
			dir, base := path.Split(name)
			if h, ok := strings.CutPrefix(base, ".wh."); ok {
				hidden[dir+h] = true
			}
			if seen[name]++; seen[name] > 1 {
				f.twice[name] = true
			}
			ways := []string{name}
			if e.Type == '1' {
				ways = append(ways, cleaned(e.Link))
			}
			for _, w := range ways {
				for d := path.Dir(w); d != "."; d = path.Dir(d) {
					f.throughLink = f.throughLink || links[d]
					f.belowFile = f.belowFile || files[d]
				}
				f.aufs = f.aufs || strings.Contains(w, ".wh..wh.plnk") || strings.Contains(w, ".wh..wh.aufs")
			}
			f.bare = f.bare || base == ".wh."
			f.odd = f.odd || strings.HasPrefix(name, ".wh.") && (e.Type == '5' || dir != "")
			f.acls = f.acls || e.PAX["SCHILY.acl.access"]+e.PAX["SCHILY.acl.default"] != ""
			f.libarchive = f.libarchive || e.PAX["LIBARCHIVE.xattr.security.capability"] != ""
		}
		for _, e := range entries {
			if e.Type == '1' {
				for h := range hidden {
					t := cleaned(e.Link)
					f.hiddenLink = f.hiddenLink || t == h || strings.HasPrefix(t, h+"/") || strings.HasPrefix(path.Base(h), ".wh.")
				}
			}
		}
	}
	return f
}
