//go:build linux

package plan

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// String prints the plan, a step a line, with the reasons: what will be asked of the kernel.
func (p *Plan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# clone3 flags: %s\n", cloneNames(uint64(p.Cloneflags)))
	if p.MapIDs {
		b.WriteString("# the creator writes the id maps\n")
	}
	if p.LateFork {
		b.WriteString("# the container's first process is a child of the process that begins\n")
	}
	pointer := ""
	for i := range p.Steps {
		s := &p.Steps[i]
		if s.Pointer != pointer && s.Pointer != "" {
			fmt.Fprintf(&b, "\n# %s\n", s.Pointer)
		}
		pointer = s.Pointer
		if s.Label != "" {
			fmt.Fprintf(&b, "%s:\n", s.Label)
		}
		if s.landing() {
			continue
		}
		p.printStep(&b, i, s)
	}
	return b.String()
}

func (p *Plan) printStep(b *strings.Builder, i int, s *Step) {
	fmt.Fprintf(b, "%4d  %s(", i, s.Call)
	for k, a := range s.Args {
		if k > 0 {
			b.WriteString(", ")
		}
		b.WriteString(p.showArg(a))
	}
	b.WriteString(")")
	if s.Store != 0 {
		fmt.Fprintf(b, " -> %s", p.slotName(s.Store))
	}
	for _, r := range s.Rules {
		name := "any errno"
		if r.Errno != AnyErrno {
			name = unix.ErrnoName(unix.Errno(r.Errno))
		}
		fmt.Fprintf(b, " %s: %s", name, r.Goto)
	}
	if s.OK != "" {
		fmt.Fprintf(b, " ok: %s", s.OK)
	}
	fmt.Fprintf(b, "  # %s", s.Name)
	if s.Why != "" {
		fmt.Fprintf(b, ": %s", s.Why)
	}
	b.WriteString("\n")
}

// landing is a step that only carries a label.
func (s *Step) landing() bool { return s.Nr == NrSet && s.Name == landingName }

const landingName = "go on"

func (p *Plan) slotName(s Slot) string {
	if name := p.SlotNames[s]; name != "" {
		return "$" + name
	}
	for i := s; i > 0; i-- {
		if name := p.SlotNames[i]; name != "" {
			return fmt.Sprintf("$%s[%d]", name, (s-i)*8)
		}
	}
	return fmt.Sprintf("$%d", s)
}

func (p *Plan) showArg(a Arg) string {
	switch a.Kind {
	case Load:
		return p.slotName(a.Slot)
	case AddressOf:
		return "&" + p.slotName(a.Slot)
	}
	if len(a.Relocs) > 0 && a.Kind == Memory {
		var parts []string
		for _, r := range a.Relocs {
			parts = append(parts, p.showArg(r.Arg))
		}
		return a.Show + "[" + strings.Join(parts, " ") + "]"
	}
	return a.Show
}
