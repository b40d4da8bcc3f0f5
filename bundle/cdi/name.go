package cdi

import (
	"fmt"
	"strings"
)

// Name is a device by its full name.
type Name struct {
	Kind   string // vendor.com/class
	Device string
}

// String gives "vendor.com/class=device".
func (n Name) String() string { return n.Kind + "=" + n.Device }

// IsName tells whether s has the form of a full name; no path of a device has it.
func IsName(s string) bool {
	_, err := ParseName(s)
	return err == nil
}

// ParseName reads VENDOR/CLASS=NAME. Its error wraps ErrName.
func ParseName(s string) (Name, error) {
	kind, device, ok := strings.Cut(s, "=")
	if !ok {
		return Name{}, fmt.Errorf("%w: %q has no =", ErrName, s)
	}
	if err := checkKind(kind); err != nil {
		return Name{}, err
	}
	return Name{kind, device}, checkName("device", device, true, "_-.:")
}

// checkKind follows the library of CDI, which asks less of a vendor than SPEC.md does.
func checkKind(kind string) error {
	vendor, class, ok := strings.Cut(kind, "/")
	if !ok {
		return fmt.Errorf("%w: the kind %q is not VENDOR/CLASS", ErrName, kind)
	}
	if err := checkName("vendor", vendor, false, "_-."); err != nil {
		return err
	}
	return checkName("class", class, false, "_-.")
}

// checkName asks for a letter (or a digit) first, a letter or a digit last, and only these and some marks between.
func checkName(what, name string, digit bool, marks string) error {
	for i := range len(name) {
		c := name[i]
		letter, number := 'a' <= c|0x20 && c|0x20 <= 'z', '0' <= c && c <= '9'
		switch {
		case letter, number && (i > 0 || digit):
		case i > 0 && i < len(name)-1 && strings.IndexByte(marks, c) >= 0:
		default:
			return fmt.Errorf("%w: %q in the %s %q", ErrName, c, what, name)
		}
	}
	if name == "" {
		return fmt.Errorf("%w: the %s is empty", ErrName, what)
	}
	return nil
}
