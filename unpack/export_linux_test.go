package unpack

// WithoutOpenat2 makes a Root do as on a kernel without openat2.
func (r *Root) WithoutOpenat2() {
	if err := r.walks(); err != nil {
		panic(err)
	}
}

// Initialise gives a root the attributes that Unpack gives to a new one.
func (r *Root) Initialise(o Options) error { return r.initialise(&o) }
