package spec

// Level is the requirement level of a clause, in the words of RFC 2119.
type Level string

// The levels that the OCI specifications use.
const (
	Must   Level = "MUST"
	Should Level = "SHOULD"
	May    Level = "MAY"
)

// Clause is one requirement of a specification. The zero Clause means that no specification
// asks for what failed: the rule is this project's own.
type Clause struct {
	ID      string // the project's name for the duty: "IS-D2", "DC-07", "H-70"
	Level   Level
	Spec    string // "image-spec", "distribution-spec", "runtime-spec", "tar-split", "docker-token"
	Section string // file and heading anchor: "descriptor.md#digests"
}

// String gives the form in which errors and reports cite the clause:
// "image-spec descriptor.md#digests MUST (IS-D2)"; "" for the zero Clause.
func (c Clause) String() string {
	if c == (Clause{}) {
		return ""
	}
	s := c.Spec + " " + c.Section
	if c.Level != "" {
		s += " " + string(c.Level)
	}
	if c.ID != "" {
		s += " (" + c.ID + ")"
	}
	return s
}

// Citation is what an error ends with: " [" and "]" around String; "" for the zero Clause.
func (c Clause) Citation() string {
	if s := c.String(); s != "" {
		return " [" + s + "]"
	}
	return ""
}

// URL is where the clause can be read; "" if the specification has no public address known here.
func (c Clause) URL() string {
	switch c.Spec {
	case "image-spec":
		return "https://github.com/opencontainers/image-spec/blob/v1.1.1/" + c.Section
	case "distribution-spec":
		return "https://github.com/opencontainers/distribution-spec/blob/v1.1.1/" + c.Section
	case "runtime-spec":
		return "https://github.com/opencontainers/runtime-spec/blob/v1.3.0/" + c.Section
	}
	return ""
}
