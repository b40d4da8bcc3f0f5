package repack

import (
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

// applyChanges edits the execution parameters of an image by instructions of a Dockerfile.
func applyChanges(settings object, changes []string) error {
	cmd, entrypoint := false, false
	for _, text := range changes {
		name, rest, _ := strings.Cut(strings.TrimSpace(text), " ")
		name, rest = strings.ToUpper(name), strings.TrimSpace(rest)
		cmd, entrypoint = cmd || name == "CMD", entrypoint || name == "ENTRYPOINT"
		if err := change(settings, name, rest); err != nil {
			var inner *Error
			if errors.As(err, &inner) {
				return err
			}
			return &Error{Op: "change", Subject: text, Err: err}
		}
	}
	if entrypoint && !cmd { // the arguments were those of another program
		delete(settings, "Cmd")
	}
	return nil
}

func change(settings object, name, rest string) error {
	if rest == "" && name != "CMD" && name != "ENTRYPOINT" {
		return fmt.Errorf("%w: %s wants a value", ErrChange, name)
	}
	switch name {
	case "CMD":
		return settings.set("Cmd", command(rest))
	case "ENTRYPOINT":
		return settings.set("Entrypoint", command(rest))
	case "ENV":
		return changeEnv(settings, rest)
	case "LABEL":
		return changeLabels(settings, rest)
	case "EXPOSE":
		return changeSet(settings, "ExposedPorts", rest, port)
	case "VOLUME":
		return changeSet(settings, "Volumes", rest, func(s string) (string, error) { return s, nil })
	case "USER":
		return settings.set("User", rest)
	case "STOPSIGNAL":
		return settings.set("StopSignal", rest)
	case "WORKDIR":
		dir := "/"
		if err := settings.member("WorkingDir", &dir); err != nil {
			return err
		}
		if !path.IsAbs(rest) {
			rest = path.Join("/", dir, rest)
		}
		return settings.set("WorkingDir", path.Clean(rest))
	}
	return fmt.Errorf("%w: the instructions are CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, STOPSIGNAL, USER, VOLUME, WORKDIR", ErrChange)
}

// command reads a JSON array of strings, or takes the text as a line for the shell; none is no command.
func command(text string) []string {
	if list, ok := array(text); ok {
		return list
	}
	if text == "" {
		return nil
	}
	return []string{"/bin/sh", "-c", text}
}

func array(text string) ([]string, bool) {
	var list []string
	if !strings.HasPrefix(text, "[") || json.Unmarshal([]byte(text), &list) != nil {
		return nil, false
	}
	return list, true
}

// pairs reads "k=v k2='v 2'", or the old form "k v v".
func pairs(text string) ([][2]string, error) {
	words, err := split(text)
	if err != nil {
		return nil, err
	}
	if !strings.Contains(words[0], "=") {
		k, v, ok := strings.Cut(text, " ")
		if !ok {
			return nil, fmt.Errorf("%w: want key=value", ErrChange)
		}
		return [][2]string{{k, strings.TrimSpace(v)}}, nil
	}
	var list [][2]string
	for _, w := range words {
		k, v, ok := strings.Cut(w, "=")
		if !ok || k == "" {
			return nil, fmt.Errorf("%w: want key=value, not %q", ErrChange, w)
		}
		list = append(list, [2]string{k, v})
	}
	return list, nil
}

func changeEnv(settings object, text string) error {
	list, err := pairs(text)
	if err != nil {
		return err
	}
	var env []string
	if err := settings.member("Env", &env); err != nil {
		return err
	}
	for _, p := range list {
		set := p[0] + "=" + p[1]
		at := slices.IndexFunc(env, func(e string) bool { return strings.HasPrefix(e, p[0]+"=") })
		if at < 0 {
			env = append(env, set)
		} else {
			env[at] = set
		}
	}
	return settings.set("Env", env)
}

func changeLabels(settings object, text string) error {
	list, err := pairs(text)
	if err != nil {
		return err
	}
	labels := map[string]string{}
	if err := settings.member("Labels", &labels); err != nil {
		return err
	}
	if labels == nil { // null
		labels = map[string]string{}
	}
	for _, p := range list {
		labels[p[0]] = p[1]
	}
	return settings.set("Labels", labels)
}

// changeSet adds to a set, which JSON has as an object with empty objects.
func changeSet(settings object, name, text string, check func(string) (string, error)) error {
	list, ok := array(text)
	if !ok {
		var err error
		if list, err = split(text); err != nil {
			return err
		}
	}
	set := map[string]struct{}{}
	if err := settings.member(name, &set); err != nil {
		return err
	}
	if set == nil {
		set = map[string]struct{}{}
	}
	for _, s := range list {
		s, err := check(s)
		if err != nil {
			return err
		}
		set[s] = struct{}{}
	}
	return settings.set(name, set)
}

// port gives port/protocol (config.md, ExposedPorts); a range stays one.
func port(s string) (string, error) {
	number, protocol, ok := strings.Cut(s, "/")
	if !ok {
		protocol = "tcp"
	}
	protocol = strings.ToLower(protocol)
	if number == "" || strings.Trim(number, "0123456789-") != "" || protocol != "tcp" && protocol != "udp" && protocol != "sctp" {
		return "", fmt.Errorf("%w: %q is no port[/protocol]", ErrChange, s)
	}
	return number + "/" + protocol, nil
}

// split cuts a line into words as a shell does, with quotes and backslashes and nothing else.
func split(text string) ([]string, error) {
	var words []string
	var word strings.Builder
	in, quoted := false, byte(0)
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '\\' && quoted != '\'' && i+1 < len(text):
			i++
			if quoted == '"' && text[i] != '"' && text[i] != '\\' && text[i] != '$' {
				word.WriteByte('\\')
			}
			word.WriteByte(text[i])
			in = true
		case quoted != 0 && c == quoted:
			quoted = 0
		case quoted != 0:
			word.WriteByte(c)
		case c == '"' || c == '\'':
			quoted, in = c, true
		case c == ' ' || c == '\t':
			if in {
				words = append(words, word.String())
				word.Reset()
				in = false
			}
		default:
			word.WriteByte(c)
			in = true
		}
	}
	if quoted != 0 {
		return nil, fmt.Errorf("%w: a quote is not closed", ErrChange)
	}
	if in {
		words = append(words, word.String())
	}
	if len(words) == 0 {
		return nil, fmt.Errorf("%w: nothing is given", ErrChange)
	}
	return words, nil
}
