package unpack

import (
	"sync/atomic"

	"github.com/oci-pipeline/oci/conformance/spec"
)

// Budget is what is left of Limits.TotalBytes. Layers that are applied at once share it.
type Budget struct {
	total int64
	taken atomic.Int64
}

// NewBudget is a whole budget.
func NewBudget(l Limits) *Budget { return &Budget{total: l.WithDefaults().TotalBytes} }

// take uses some of it up, before or just after n bytes were made.
func (b *Budget) take(n int64) error {
	if now := b.taken.Add(n); now > b.total || now < 0 {
		return Exceeded("total", b.total, now, "the layers together have more bytes uncompressed")
	}
	return nil
}

// overrun is an *Error about an entry that exceeds a limit.
func overrun(name string, clause spec.Clause, limit string, value, met int64, what string) *Error {
	return &Error{Op: "apply", Subject: name, Clause: clause, Err: Exceeded(limit, value, met, what)}
}
