package main

import (
	"fmt"
	"path"
	"strconv"
	"strings"

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
	n, err := parseYAML(raw)
	if err != nil {
		return list, fmt.Errorf("%w: %w", errSyncList, err)
	}
	if n.kind != yamlMap {
		return list, fmt.Errorf("%w: line %d: want a mapping", errSyncList, n.line)
	}
	own := len(n.keys) == 1 && n.keys[0].name == "image"
	if own {
		err = list.addOwn(n.keys[0].value)
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
func (l *syncList) addOwn(n *yamlNode) error {
	entries, err := n.items()
	for _, m := range entries {
		var e syncEntry
		if m.kind != yamlMap {
			return yamlErrorf(m.line, "want from:, to: and so on")
		}
		for _, k := range m.keys {
			if err := e.set(k); err != nil {
				return err
			}
		}
		l.Image = append(l.Image, e)
	}
	return err
}

func (e *syncEntry) set(k yamlKey) (err error) {
	switch k.name {
	case "from":
		e.From, err = k.value.scalar()
	case "to":
		e.To, err = k.value.scalar()
	case "tags":
		e.Tags, err = k.value.scalars()
	case "regex":
		e.Regex, err = k.value.scalar()
	case "semver":
		e.Semver, err = k.value.scalar()
	case "newest":
		var text string
		if text, err = k.value.scalar(); err == nil {
			e.Newest, err = strconv.Atoi(text)
		}
	case "platform":
		e.Platform, err = k.value.scalar()
	case "referrers":
		e.Referrers, err = k.value.boolean()
	default:
		err = fmt.Errorf("unknown key %s", quote(k.name))
	}
	if err != nil && !strings.HasPrefix(err.Error(), "line ") {
		err = yamlErrorf(k.line, "%w", err)
	}
	return err
}

// addSkopeo reads registries with their images, as skopeo-sync(1) describes them.
func (l *syncList) addSkopeo(n *yamlNode, into syncInto) error {
	for _, registry := range n.keys {
		s := skopeoRegistry{access: hostAccess{registry: registry.name}, byRepo: map[string]int{}, into: into, list: l}
		if registry.value.absent() {
			continue
		}
		if registry.value.kind != yamlMap {
			return yamlErrorf(registry.line, "%s: want images:, credentials: and so on", quote(registry.name))
		}
		for _, k := range registry.value.keys {
			if err := s.set(k); err != nil {
				return err
			}
		}
		if s.user != "" || s.password != "" {
			s.access.creds = s.user + ":" + s.password
		}
		if ref, err := reference.Parse(registry.name + "/any"); err == nil {
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

func (s *skopeoRegistry) set(k yamlKey) error {
	switch k.name {
	case "images":
		return s.images(k.value, func(e *syncEntry, v *yamlNode) error {
			tags, err := v.scalars()
			e.Tags, e.every = append(e.Tags, tags...), len(tags) == 0
			return err
		})
	case "images-by-tag-regex":
		return s.images(k.value, func(e *syncEntry, v *yamlNode) (err error) {
			e.Regex, err = v.scalar()
			return err
		})
	case "images-by-semver":
		return s.images(k.value, func(e *syncEntry, v *yamlNode) (err error) {
			e.Semver, err = v.scalar()
			return err
		})
	case "tls-verify":
		verify, err := k.value.boolean()
		s.access.insecure = !verify
		return err
	case "cert-dir":
		dir, err := k.value.scalar()
		s.access.certDir = dir
		return err
	case "credentials":
		return s.credentials(k)
	}
	return yamlErrorf(k.line, "unknown key %s", quote(k.name))
}

func (s *skopeoRegistry) credentials(k yamlKey) (err error) {
	if k.value.kind != yamlMap {
		return yamlErrorf(k.line, "credentials: want username: and password:")
	}
	for _, c := range k.value.keys {
		switch c.name {
		case "username":
			s.user, err = c.value.scalar()
		case "password":
			s.password, err = c.value.scalar()
		default:
			err = yamlErrorf(c.line, "unknown key %s", quote(c.name))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// images reads a mapping from repositories to what is wanted of them.
func (s *skopeoRegistry) images(n *yamlNode, set func(*syncEntry, *yamlNode) error) error {
	if n.absent() {
		return nil
	}
	if n.kind != yamlMap {
		return yamlErrorf(n.line, "want repositories")
	}
	for _, k := range n.keys {
		i, ok := s.byRepo[k.name]
		if !ok {
			i = len(s.list.Image)
			s.byRepo[k.name] = i
			name := s.access.registry + "/" + k.name
			s.list.Image = append(s.list.Image, syncEntry{From: name, To: s.into.name(name), any: true})
		}
		if err := set(&s.list.Image[i], k.value); err != nil {
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

// scalar, scalars, boolean and items give a value of the kind that is wanted.
func (n *yamlNode) scalar() (string, error) {
	if n.kind != yamlScalar || n.absent() {
		return "", yamlErrorf(n.line, "want one text")
	}
	return n.text, nil
}

func (n *yamlNode) scalars() ([]string, error) {
	items, err := n.items()
	var list []string
	for _, item := range items {
		text, err := item.scalar()
		if err != nil {
			return nil, err
		}
		list = append(list, text)
	}
	return list, err
}

func (n *yamlNode) boolean() (bool, error) {
	switch {
	case n.kind == yamlScalar && strings.EqualFold(n.text, "true"):
		return true, nil
	case n.kind == yamlScalar && strings.EqualFold(n.text, "false"):
		return false, nil
	}
	return false, yamlErrorf(n.line, "want true or false")
}

func (n *yamlNode) items() ([]*yamlNode, error) {
	if n.absent() {
		return nil, nil
	}
	if n.kind != yamlList {
		return nil, yamlErrorf(n.line, "want a list")
	}
	return n.list, nil
}
