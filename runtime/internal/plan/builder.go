//go:build linux

package plan

import "fmt"

// builder collects steps. Its cursor fields (pointer) apply to the steps added after they are set.
type builder struct {
	plan    Plan
	pointer string
	labels  map[string]int // how often a stem was used
	buffers map[string]Slot
}

func newBuilder(fds FDs) *builder {
	// A Docker-like configuration takes some 500 steps and 700 slots; growing to that would copy four times as much.
	return &builder{
		plan:   Plan{Slots: 1, FDs: fds, Steps: make([]Step, 0, 600), SlotNames: append(make([]string, 0, 800), "")},
		labels: map[string]int{}, buffers: map[string]Slot{},
	}
}

// newSlot reserves a cell; name is what a printed plan calls it.
func (b *builder) newSlot(name string) Slot {
	s := Slot(b.plan.Slots)
	b.plan.Slots++
	b.plan.SlotNames = append(b.plan.SlotNames, name)
	return s
}

// newBuffer reserves size bytes as a run of cells, once for each name, and returns the first.
func (b *builder) newBuffer(name string, size int) Slot {
	if s, ok := b.buffers[name]; ok {
		return s
	}
	first := b.newSlot(name)
	for range (size+7)/8 - 1 {
		b.newSlot("")
	}
	b.buffers[name] = first
	return first
}

// label makes a name that no other step has.
func (b *builder) label(stem string) string {
	b.labels[stem]++
	return fmt.Sprintf("%s.%d", stem, b.labels[stem])
}

// stepRef lets a call site finish a step in one expression.
type stepRef struct {
	b *builder
	i int
}

func (r stepRef) step() *Step { return &r.b.plan.Steps[r.i] }

// into stores the result.
func (r stepRef) into(s Slot) stepRef { r.step().Store = s; return r }

// why gives the reason for the step or for its place.
func (r stepRef) why(w string) stepRef { r.step().Why = w; return r }

// on goes to label when the call returns errno.
func (r stepRef) on(label string, errnos ...uint32) stepRef {
	for _, e := range errnos {
		r.step().Rules = append(r.step().Rules, Rule{Errno: e, Goto: label})
	}
	return r
}

// then goes to label on success.
func (r stepRef) then(label string) stepRef { r.step().OK = label; return r }

// notZero makes a result of 0 a failure.
func (r stepRef) notZero() stepRef { r.step().NotZero = true; return r }

// at labels the step.
func (r stepRef) at(label string) stepRef { r.step().Label = label; return r }

func (b *builder) add(name, call string, nr uint32, args ...Arg) stepRef {
	b.plan.Steps = append(b.plan.Steps, Step{Name: name, Pointer: b.pointer, Call: call, Nr: nr, Args: args})
	return stepRef{b, len(b.plan.Steps) - 1}
}

// set stores a value in a slot.
func (b *builder) set(name string, s Slot, v Arg) stepRef {
	return b.add(name, "set", NrSet, addr(s), v)
}

// land adds a step that does nothing, for a label to stand before what comes next.
func (b *builder) land(label string) {
	b.add(landingName, "set", NrSet, addr(b.newBuffer("scratch", 8)), num(0)).at(label)
}

// fail adds a step that fails with errno.
func (b *builder) fail(name string, errno Arg) stepRef {
	return b.add(name, "fail", NrFail, errno)
}

// jumpEqual goes to label if v&mask == want.
func (b *builder) jumpEqual(name string, v Arg, mask, want uint64, label string) stepRef {
	return b.add(name, "jump_if_equal", NrJumpEqual, v, imm(mask, fmt.Sprintf("%#x", mask)), imm(want, fmt.Sprintf("%#x", want)), target(label))
}
