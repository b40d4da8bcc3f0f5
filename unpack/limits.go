package unpack

import "math"

// Limits bound what a layer may make this package do. A zero field means its default; a negative
// one means no limit. Exceeding one is ErrLimit.
type Limits struct {
	Entries    int64 // entries in one layer; default 2,000,000 (a large image has 60,000)
	Depth      int   // components in a name; default 256: removal opens one descriptor a level
	NameBytes  int   // bytes in a name; default 65,536: longer than PATH_MAX can be legal, endless cannot
	FileBytes  int64 // bytes of one file, holes included; default 64 GiB
	LayerBytes int64 // uncompressed bytes of one layer, holes included; default 64 GiB
	TotalBytes int64 // uncompressed bytes of all layers of one Unpack; default 256 GiB
	XattrBytes int64 // bytes of all xattr values of an entry; default 1 MiB
	LogBytes   int64 // bytes of headers and padding kept in a tar-split log; default 1 GiB
	Window     int64 // zstd window; default 128 MiB, the most that zstd itself decodes unasked

	// Ratio is the largest factor by which a blob may grow; default 500. It is asked only once a
	// layer is larger than RatioFrom (default 256 MiB): small files of zeros are legal and harmless.
	Ratio     int64
	RatioFrom int64
}

const unlimited = math.MaxInt64

// withDefaults replaces zero fields by the defaults and negative ones by "unlimited".
func (l Limits) withDefaults() Limits {
	set := func(v *int64, def int64) {
		switch {
		case *v == 0:
			*v = def
		case *v < 0:
			*v = unlimited
		}
	}
	depth, name := int64(l.Depth), int64(l.NameBytes)
	set(&l.Entries, 2_000_000)
	set(&depth, 256)
	set(&name, 64<<10)
	set(&l.FileBytes, 64<<30)
	set(&l.LayerBytes, 64<<30)
	set(&l.TotalBytes, 256<<30)
	set(&l.XattrBytes, 1<<20)
	set(&l.LogBytes, 1<<30)
	set(&l.Window, 128<<20)
	set(&l.Ratio, 500)
	set(&l.RatioFrom, 256<<20)
	l.Depth, l.NameBytes = int(min(depth, 1<<30)), int(min(name, 1<<30))
	return l
}
