package yaml

import "strings"

// Node is one value: a scalar, a list or a mapping.
type Node struct {
	Line   int    // where it begins, from 1
	Text   string // of a scalar; plain "", "~" and "null" are an absent value
	Quoted bool   // the scalar stands in quotes
	List   []*Node
	Keys   []Key // of a mapping, in their order, each once
	Kind   Kind
}

// Kind is what a Node is.
type Kind int

// The kinds.
const (
	KindScalar Kind = iota
	KindList
	KindMap
)

// Key is one entry of a mapping.
type Key struct {
	Name  string
	Line  int
	Value *Node
}

// Absent tells whether nothing is there.
func (n *Node) Absent() bool {
	return n.Kind == KindScalar && !n.Quoted && (n.Text == "" || n.Text == "~" || n.Text == "null")
}

// Scalar gives the text of a scalar that is there; another value is an error with its line.
func (n *Node) Scalar() (string, error) {
	if n.Kind != KindScalar || n.Absent() {
		return "", Errorf(n.Line, "want one text")
	}
	return n.Text, nil
}

// Scalars gives the texts of a list of scalars; an absent value is an empty list.
func (n *Node) Scalars() ([]string, error) {
	items, err := n.Items()
	var list []string
	for _, item := range items {
		text, err := item.Scalar()
		if err != nil {
			return nil, err
		}
		list = append(list, text)
	}
	return list, err
}

// Boolean gives true or false.
func (n *Node) Boolean() (bool, error) {
	switch {
	case n.Kind == KindScalar && strings.EqualFold(n.Text, "true"):
		return true, nil
	case n.Kind == KindScalar && strings.EqualFold(n.Text, "false"):
		return false, nil
	}
	return false, Errorf(n.Line, "want true or false")
}

// Items gives the elements of a list; an absent value is an empty one.
func (n *Node) Items() ([]*Node, error) {
	if n.Absent() {
		return nil, nil
	}
	if n.Kind != KindList {
		return nil, Errorf(n.Line, "want a list")
	}
	return n.List, nil
}
