//go:build !purego

package inflate

import (
	"bytes"
	"fmt"

	"golang.org/x/sys/cpu"
)

// twins adds Readers that run both fast loops and compare what they leave behind.
func twins(all map[string]*Reader) {
	if !cpu.X86.HasBMI2 || !cpu.X86.HasSSSE3 {
		return
	}
	for name, size := range map[string]int{"both": history + outChunk, "both, small": history + 1000} {
		r := newReader(nil, 700, 100, 700, size)
		r.fast = both(size + outSlack)
		all[name] = r
	}
}

// both gives a fast loop for a window of size bytes that panics if the two loops differ: in bytes,
// in where they stop, or in why.
func both(size int) func(*core) event {
	out := make([]byte, size)
	return func(c *core) event {
		if c.pos > len(c.in)-inSlack {
			return fastBMI2(c)
		}
		twin := *c
		twin.out = out[:len(c.out)]
		copy(out, c.out[:c.w])
		return same(c, &twin)
	}
}

func same(c, twin *core) event {
	start := c.w
	why, twinWhy := fastBMI2(c), twin.fastGo()
	switch {
	case why != twinWhy, c.w != twin.w, !bytes.Equal(c.out[:c.w], twin.out[:c.w]):
		panic(fmt.Sprintf("from %d: assembly %d at %d, Go %d at %d", start, why, c.w, twinWhy, twin.w))
	case why == atEdge && (c.pos != twin.pos || c.bits != twin.bits || c.have != twin.have):
		panic(fmt.Sprintf("from %d to %d: assembly %d %d %#x, Go %d %d %#x", start, c.w, c.pos, c.have, c.bits, twin.pos, twin.have, twin.bits))
	}
	return why
}
