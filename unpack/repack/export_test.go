package repack

// Names gives the names of a plan's entries as the tar will have them, "name -> target" of a hardlink.
func Names(p *Plan) []string {
	var list []string
	for i := range p.steps {
		h, err := p.steps[i].header(nil)
		if err != nil {
			return []string{err.Error()}
		}
		name := h.Name
		if p.steps[i].target != "" {
			name += " -> " + h.Linkname
		}
		list = append(list, name)
	}
	return list
}
