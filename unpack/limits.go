package unpack

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Limits bound what a layer may make this package do. A zero field means its default; a negative
// one means no limit. Exceeding one is a *LimitError, which is ErrLimit. [LimitTable] has the names,
// the defaults and the reasons.
type Limits struct {
	Entries    int64 // entries in one layer
	Depth      int64 // components in a name
	NameBytes  int64 // bytes in a name, and in the target of a hardlink
	FileBytes  int64 // bytes of one file, holes included
	LayerBytes int64 // uncompressed bytes of one layer
	TotalBytes int64 // uncompressed bytes of all layers of one Unpack, and the sparse files in them with their holes
	XattrBytes int64 // bytes of all xattr values of an entry
	LogBytes   int64 // bytes of headers and padding kept in a tar-split log
	Window     int64 // bytes of a zstd window

	// Ratio is the largest factor by which a blob may grow. It is asked only of a layer that is larger
	// than RatioFrom bytes.
	Ratio     int64
	RatioFrom int64

	// FreeBytes is how much must stay free on the file system of the target. It is asked before anything
	// is written, of what is known by then: see [CheckSpace]. Too little is ErrSpace. Negative: not asked.
	FreeBytes int64
}

// Limit is one row of the table of limits.
type Limit struct {
	Name    string // as in a setting "name=value"
	Bytes   bool   // the value counts bytes
	Default int64
	Why     string // what it bounds, and the reason for the default

	field func(*Limits) *int64
}

// LimitTable gives the limits in the order in which people should read them.
func LimitTable() []Limit {
	return []Limit{
		{"entries", false, 2_000_000, "entries in one layer; a large image has 60,000", func(l *Limits) *int64 { return &l.Entries }},
		{"depth", false, 256, "components in a name; to remove a tree takes a descriptor a level", func(l *Limits) *int64 { return &l.Depth }},
		{"name", true, 64 << 10, "bytes in a name; longer than PATH_MAX can be legal, endless cannot", func(l *Limits) *int64 { return &l.NameBytes }},
		{"file", true, 64 << 30, "bytes of one file, holes included", func(l *Limits) *int64 { return &l.FileBytes }},
		{"layer", true, 64 << 30, "bytes of one layer, uncompressed", func(l *Limits) *int64 { return &l.LayerBytes }},
		{"total", true, 256 << 30, "bytes of all layers, uncompressed, and of sparse files with their holes", func(l *Limits) *int64 { return &l.TotalBytes }},
		{"xattr", true, 1 << 20, "bytes of all extended attributes of an entry; the kernel takes 64K each", func(l *Limits) *int64 { return &l.XattrBytes }},
		{"log", true, 1 << 30, "bytes of headers and padding kept to make a layer's tar again", func(l *Limits) *int64 { return &l.LogBytes }},
		{"window", true, 128 << 20, "window of zstd, held in memory; what zstd itself decodes unasked", func(l *Limits) *int64 { return &l.Window }},
		{"ratio", false, 500, "times by which a blob may grow; gzip cannot do more than 1032", func(l *Limits) *int64 { return &l.Ratio }},
		{"ratio-from", true, 256 << 20, "bytes of a layer up to which it may grow by any factor: some zeros are harmless", func(l *Limits) *int64 { return &l.RatioFrom }},
		{"free", true, 0, "bytes that must stay free where files are written, so far as sizes are known before; none: do not ask", func(l *Limits) *int64 { return &l.FreeBytes }},
	}
}

// Set changes one limit by a setting "name=value". A value is a number, with K, M, G or T behind it
// times 1024, 1024² and so on for bytes, and times 1000, a million and so on for all else; or "none"
// for no limit.
func (l *Limits) Set(setting string) error {
	name, value, ok := strings.Cut(setting, "=")
	if !ok {
		return fmt.Errorf("%q is not NAME=VALUE", setting)
	}
	for _, row := range LimitTable() {
		if row.Name != name {
			continue
		}
		n, err := row.parse(value)
		if err == nil {
			*row.field(l) = n
		}
		return err
	}
	return fmt.Errorf("there is no limit %q", name)
}

// parse reads a value.
func (r Limit) parse(s string) (int64, error) {
	if s == "none" {
		return -1, nil
	}
	digits, scale := s, int64(1)
	if i := strings.IndexAny("KMGTkmgt", lastByte(s)); i >= 0 && s != "" {
		digits = s[:len(s)-1]
		for range i%4 + 1 {
			scale *= r.base()
		}
	}
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil || n > uint64(math.MaxInt64/scale) {
		return 0, fmt.Errorf("%s: %q is neither a number, with K, M, G or T or without, nor none", r.Name, s)
	}
	if n == 0 && r.Default != 0 {
		return 0, fmt.Errorf("%s: 0 would let nothing pass", r.Name)
	}
	return int64(n) * scale, nil
}

func lastByte(s string) string { return s[max(0, len(s)-1):] }

// base is what K stands for.
func (r Limit) base() int64 {
	if r.Bytes {
		return 1024
	}
	return 1000
}

// Format gives a value as a setting has it.
func (r Limit) Format(n int64) string {
	if n < 0 || n == unlimited {
		return "none"
	}
	unit := 0
	for unit < 4 && n > 0 && n%r.base() == 0 {
		n /= r.base()
		unit++
	}
	return strconv.FormatInt(n, 10) + "KMGT"[max(0, unit-1):unit]
}

const unlimited = math.MaxInt64

// WithDefaults gives the limits as they are applied: zero fields are the defaults, negative ones the
// largest number there is.
func (l Limits) WithDefaults() Limits {
	for _, row := range LimitTable() {
		switch v := row.field(&l); {
		case *v == 0:
			*v = row.Default
		case *v < 0:
			*v = unlimited
		}
	}
	return l
}

// LimitError says which limit a layer exceeds. It is ErrLimit.
type LimitError struct {
	Limit Limit
	Value int64  // what it is set to
	Met   int64  // what would have passed, as far as is known: more than Value
	What  string // what exceeds it
}

// Exceeded makes a *LimitError for the limit of a name, as LimitTable has it.
func Exceeded(name string, value, met int64, what string) error {
	for _, row := range LimitTable() {
		if row.Name == name {
			return &LimitError{row, value, met, what}
		}
	}
	return fmt.Errorf("%w: %s", ErrLimit, name)
}

// Error gives "limit exceeded: the layer has more entries: 2000001, and the limit is entries=2M".
func (e *LimitError) Error() string {
	met := ""
	if e.Met > 0 {
		met = ": " + strconv.FormatInt(e.Met, 10)
	}
	return fmt.Sprintf("%v: %s%s, and the limit is %s=%s", ErrLimit, e.What, met, e.Limit.Name, e.Limit.Format(e.Value))
}

// Is makes it an ErrLimit.
func (e *LimitError) Is(target error) bool { return target == ErrLimit }

// Enough gives a setting that would let pass what was met. The layer may have more than that.
func (e *LimitError) Enough() string {
	n, unit := max(e.Met, 2*e.Value, 1), int64(1)
	for unit <= math.MaxInt64/e.Limit.base()/16 && n/(unit*e.Limit.base()) >= 16 {
		unit *= e.Limit.base()
	}
	return e.Limit.Name + "=" + e.Limit.Format((n-1)/unit*unit+unit)
}
