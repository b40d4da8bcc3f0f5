package cgroup

import (
	"errors"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// evaluate runs a device program, as the kernel would, on one request.
func evaluate(t *testing.T, p []bpfInstruction, kind, access uint32, major, minor uint32) int64 {
	t.Helper()
	var r [10]uint64
	context := map[int16]uint32{0: access<<16 | kind, 4: major, 8: minor}
	for pc := 0; pc < len(p); pc++ {
		in := p[pc]
		k := uint64(int64(in.number))
		jump := false
		switch in.code {
		case bpfLoad:
			r[in.dst] = uint64(context[in.offset])
		case bpfMoveReg:
			r[in.dst] = r[in.src]
		case bpfMove:
			r[in.dst] = k
		case bpfAnd:
			r[in.dst] &= k
		case bpfShift:
			r[in.dst] >>= k
		case bpfEqual:
			jump = r[in.dst] == k
		case bpfOther:
			jump = r[in.dst] != k
		case bpfOther32:
			jump = uint32(r[in.dst]) != uint32(k)
		case bpfExit:
			return int64(r[0])
		default:
			t.Fatalf("unknown instruction %#x", in.code)
		}
		if jump {
			if in.offset < 0 {
				t.Fatal("a jump back")
			}
			pc += int(in.offset)
		}
	}
	t.Fatal("the program has no end")
	return 0
}

// permitted is the meaning of the list in config.json: each kind of access by the last rule for it.
func permitted(list []specs.LinuxDeviceCgroup, kind byte, access uint32, major, minor int64) bool {
	reset, allow := -1, false
	for i, r := range list {
		if (r.Type == "" || r.Type == "a") && number1(r.Major) == anyNumber && number1(r.Minor) == anyNumber && len(r.Access) == 3 {
			reset, allow = i, r.Allow
		}
	}
	for _, bit := range []uint32{accessMknod, accessRead, accessWrite} {
		if access&bit == 0 {
			continue
		}
		is := allow
		for _, r := range list[reset+1:] {
			bits, _ := parseAccess(r.Access)
			if bits&bit != 0 && (r.Type == "" || r.Type == "a" || r.Type[0] == kind) &&
				overlaps(number1(r.Major), major) && overlaps(number1(r.Minor), minor) {
				is = r.Allow
			}
		}
		if !allow {
			for _, b := range builtin {
				if b.access&bit != 0 && b.kind == kind && overlaps(b.major, major) && overlaps(b.minor, minor) {
					is = true
				}
			}
		}
		if !is {
			return false
		}
	}
	return true
}

func number1(n *int64) int64 {
	if n == nil {
		return anyNumber
	}
	return *n
}

func holdDevices(t *testing.T, list []specs.LinuxDeviceCgroup) {
	t.Helper()
	d, err := deviceRules(list)
	if err != nil {
		t.Fatal(err)
	}
	p := d.program()
	numbers := []int64{0, 1, 3, 5, 8, 136, 1<<31 + 5, 1<<32 - 1}
	for _, r := range list {
		numbers = append(numbers, max(0, number1(r.Major)), max(0, number1(r.Minor)))
	}
	for _, major := range numbers {
		for _, minor := range numbers {
			for access := uint32(1); access <= accessAll; access++ {
				for kind, code := range map[byte]uint32{'b': deviceBlock, 'c': deviceChar} {
					got := evaluate(t, p, code, access, uint32(major), uint32(minor)) == 1
					if want := permitted(list, kind, access, major, minor); got != want {
						t.Fatalf("%c %d:%d access %d: got %v, want %v\nrules %+v", kind, major, minor, access, got, want, list)
					}
				}
			}
		}
	}
}

func rule(allow bool, kind, access string, numbers ...int64) specs.LinuxDeviceCgroup {
	r := specs.LinuxDeviceCgroup{Allow: allow, Type: kind, Access: access}
	if len(numbers) > 0 && numbers[0] >= 0 {
		r.Major = &numbers[0]
	}
	if len(numbers) > 1 && numbers[1] >= 0 {
		r.Minor = &numbers[1]
	}
	return r
}

func TestRS_CG2_device_program(t *testing.T) {
	for name, list := range map[string][]specs.LinuxDeviceCgroup{
		"docker":                  {rule(false, "", "rwm"), rule(true, "c", "rwm", 10, 229)},
		"privileged":              {rule(false, "a", "rwm"), rule(true, "a", "rwm")},
		"all but one":             {rule(true, "a", "rwm"), rule(false, "b", "w", 8, 0)},
		"read and write apart":    {rule(false, "a", "rwm"), rule(true, "c", "r", 10, 229), rule(true, "c", "w", 10, 229)},
		"a part is taken back":    {rule(false, "a", "rwm"), rule(true, "c", "rwm", 10), rule(false, "c", "w", 10, 229)},
		"given again":             {rule(true, "c", "rw", 10), rule(false, "c", "w", 10, 229), rule(true, "c", "w", 10, 229)},
		"no rule for all":         {rule(true, "b", "rwm", 8)},
		"all types of one number": {rule(true, "a", "r", 8, 1)},
		"upper half":              {rule(true, "b", "rwm", 1<<31+5, 1<<32-1)},
		"minor only":              {rule(true, "b", "rwm", -1, 3)},
	} {
		t.Run(name, func(t *testing.T) { holdDevices(t, list) })
	}
}

func TestDeviceRulesV1(t *testing.T) {
	d, err := deviceRules([]specs.LinuxDeviceCgroup{rule(true, "b", "r", 1), rule(false, "", "rwm"), rule(true, "c", "rw", 10, 229), rule(true, "a", "m", 8)})
	if err != nil {
		t.Fatal(err)
	}
	got, err := d.v1()
	if err != nil {
		t.Fatal(err)
	}
	want := []write{{"devices.deny", "a"}, {"devices.allow", "c 10:229 rw"}, {"devices.allow", "b 8:* m"}, {"devices.allow", "c 8:* m"}, {"devices.allow", "c *:* m"}}
	for i, w := range want {
		if got[i] != w {
			t.Errorf("write %d: got %v, want %v", i, got[i], w)
		}
	}
	// A part cannot be taken back on v1: to leave the rule out would permit what is forbidden.
	d, err = deviceRules([]specs.LinuxDeviceCgroup{rule(false, "a", "rwm"), rule(true, "c", "rwm", 10), rule(false, "c", "w", 10, 229)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.v1(); !errors.Is(err, ErrVersion) {
		t.Errorf("a part of a rule taken back: %v", err)
	}
}

func TestRS_CG2_device_rules_refused(t *testing.T) {
	for name, r := range map[string]specs.LinuxDeviceCgroup{
		"no access":    rule(true, "c", ""),
		"access":       rule(true, "c", "rx"),
		"type":         rule(true, "p", "r"),
		"number":       {Allow: true, Type: "c", Access: "r", Major: ptr[int64](-2)},
		"large number": {Allow: true, Type: "c", Access: "r", Minor: ptr[int64](1 << 32)},
	} {
		_, err := deviceRules([]specs.LinuxDeviceCgroup{r})
		var e *Error
		if !errors.Is(err, ErrDeviceRule) || !errors.As(err, &e) || e.Subject != "/linux/resources/devices/0" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzDevices: the program agrees with the meaning of the list.
func FuzzDevices(f *testing.F) {
	f.Add([]byte{0, 0, 7, 0, 0, 1, 2, 3, 10, 229})
	f.Add([]byte{1, 1, 3, 8, 0, 0, 1, 2, 8, 1, 1, 2, 6, 0, 0})
	f.Fuzz(func(t *testing.T, in []byte) {
		var list []specs.LinuxDeviceCgroup
		for ; len(in) >= 5 && len(list) < 12; in = in[5:] {
			access := ""
			for i, c := range "rwm" {
				if in[2]&(1<<i) != 0 {
					access += string(c)
				}
			}
			r := specs.LinuxDeviceCgroup{Allow: in[0]&1 != 0, Type: []string{"a", "b", "c", ""}[in[1]%4], Access: access}
			if access == "" {
				continue
			}
			if in[3] != 0 {
				r.Major = ptr(int64(in[3] - 1))
			}
			if in[4] != 0 {
				r.Minor = ptr(int64(in[4] - 1))
			}
			list = append(list, r)
		}
		holdDevices(t, list)
	})
}
