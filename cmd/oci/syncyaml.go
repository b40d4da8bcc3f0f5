package main

import (
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/oci-pipeline/oci/bundle/yaml"
	"github.com/oci-pipeline/oci/image/reference"
)

// syncInto is the destination of a list that names none: one of skopeo.
type syncInto struct {
	base   string // a registry with or without a path, or oci:DIR; "" if none was given
	scoped bool   // below it the whole name, and not its last part
}

// decodeYAMLList reads a list in YAML: the form of the TOML lists, or that of `skopeo sync --src yaml`.
func decodeYAMLList(raw []byte, into syncInto) (syncList, error) {
	var list syncList
	n, err := yaml.Parse(raw)
	if err != nil {
		return list, fmt.Errorf("%w: %w", errSyncList, err)
	}
	if n.Kind != yaml.KindMap {
		return list, fmt.Errorf("%w: line %d: want a mapping", errSyncList, n.Line)
	}
	own := len(n.Keys) == 1 && n.Keys[0].Name == "image"
	if own {
		err = list.addOwn(n.Keys[0].Value)
	} else {
		err = list.addSkopeo(n, into)
	}
	if err != nil {
		return list, fmt.Errorf("%w: %w", errSyncList, err)
	}
	if !own && into.base == "" {
		return list, usageErrorf(nil, "this list does not say where to: give a destination, REGISTRY[/PATH] or oci:DIR")
	}
	if own && into.base != "" {
		return list, usageErrorf(nil, "this list says itself where to: give no destination")
	}
	return list, list.check()
}

// addOwn reads entries of our own form.
func (l *syncList) addOwn(n *yaml.Node) error {
	entries, err := n.Items()
	for _, m := range entries {
		var e syncEntry
		if m.Kind != yaml.KindMap {
			return yaml.Errorf(m.Line, "want from:, to: and so on")
		}
		for _, k := range m.Keys {
			if err := e.set(k); err != nil {
				return err
			}
		}
		l.Image = append(l.Image, e)
	}
	return err
}

func (e *syncEntry) set(k yaml.Key) (err error) {
	switch k.Name {
	case "from":
		e.From, err = k.Value.Scalar()
	case "to":
		e.To, err = k.Value.Scalar()
	case "tags":
		e.Tags, err = k.Value.Scalars()
	case "regex":
		e.Regex, err = k.Value.Scalar()
	case "semver":
		e.Semver, err = k.Value.Scalar()
	case "newest":
		var text string
		if text, err = k.Value.Scalar(); err == nil {
			e.Newest, err = strconv.Atoi(text)
		}
	case "platform":
		e.Platform, err = k.Value.Scalar()
	case "referrers":
		e.Referrers, err = k.Value.Boolean()
	default:
		err = fmt.Errorf("unknown key %s", quote(k.Name))
	}
	if err != nil && !strings.HasPrefix(err.Error(), "line ") {
		err = yaml.Errorf(k.Line, "%w", err)
	}
	return err
}

// addSkopeo reads registries with their images, as skopeo-sync(1) describes them.
func (l *syncList) addSkopeo(n *yaml.Node, into syncInto) error {
	for _, registry := range n.Keys {
		s := skopeoRegistry{access: hostAccess{registry: registry.Name}, byRepo: map[string]int{}, into: into, list: l}
		if registry.Value.Absent() {
			continue
		}
		if registry.Value.Kind != yaml.KindMap {
			return yaml.Errorf(registry.Line, "%s: want images:, credentials: and so on", quote(registry.Name))
		}
		for _, k := range registry.Value.Keys {
			if err := s.set(k); err != nil {
				return err
			}
		}
		if s.user != "" || s.password != "" {
			s.access.creds = s.user + ":" + s.password
		}
		if ref, err := reference.Parse(registry.Name + "/any"); err == nil {
			s.access.registry = ref.Registry
		}
		l.hosts = append(l.hosts, s.access)
	}
	return nil
}

// skopeoRegistry is one registry of skopeo's list.
type skopeoRegistry struct {
	access         hostAccess
	user, password string
	byRepo         map[string]int // entry of a repository, which may be in several lists
	into           syncInto
	list           *syncList
}

func (s *skopeoRegistry) set(k yaml.Key) error {
	switch k.Name {
	case "images":
		return s.images(k.Value, func(e *syncEntry, v *yaml.Node) error {
			tags, err := v.Scalars()
			e.Tags, e.every = append(e.Tags, tags...), len(tags) == 0
			return err
		})
	case "images-by-tag-regex":
		return s.images(k.Value, func(e *syncEntry, v *yaml.Node) (err error) {
			e.Regex, err = v.Scalar()
			return err
		})
	case "images-by-semver":
		return s.images(k.Value, func(e *syncEntry, v *yaml.Node) (err error) {
			e.Semver, err = v.Scalar()
			return err
		})
	case "tls-verify":
		verify, err := k.Value.Boolean()
		s.access.insecure = !verify
		return err
	case "cert-dir":
		dir, err := k.Value.Scalar()
		s.access.certDir = dir
		return err
	case "credentials":
		return s.credentials(k)
	}
	return yaml.Errorf(k.Line, "unknown key %s", quote(k.Name))
}

func (s *skopeoRegistry) credentials(k yaml.Key) (err error) {
	if k.Value.Kind != yaml.KindMap {
		return yaml.Errorf(k.Line, "credentials: want username: and password:")
	}
	for _, c := range k.Value.Keys {
		switch c.Name {
		case "username":
			s.user, err = c.Value.Scalar()
		case "password":
			s.password, err = c.Value.Scalar()
		default:
			err = yaml.Errorf(c.Line, "unknown key %s", quote(c.Name))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// images reads a mapping from repositories to what is wanted of them.
func (s *skopeoRegistry) images(n *yaml.Node, set func(*syncEntry, *yaml.Node) error) error {
	if n.Absent() {
		return nil
	}
	if n.Kind != yaml.KindMap {
		return yaml.Errorf(n.Line, "want repositories")
	}
	for _, k := range n.Keys {
		i, ok := s.byRepo[k.Name]
		if !ok {
			i = len(s.list.Image)
			s.byRepo[k.Name] = i
			name := s.access.registry + "/" + k.Name
			s.list.Image = append(s.list.Image, syncEntry{From: name, To: s.into.name(name), any: true})
		}
		if err := set(&s.list.Image[i], k.Value); err != nil {
			return err
		}
	}
	return nil
}

// name gives where a repository goes.
func (s syncInto) name(from string) string {
	below := path.Base(from)
	if s.scoped {
		below = from
	}
	return strings.TrimSuffix(strings.TrimPrefix(s.base, "docker://"), "/") + "/" + below
}
