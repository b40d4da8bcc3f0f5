package main

import (
	"fmt"
	"path/filepath"
	"strings"
)

// containerIDDigits is the length of the IDs that newContainerID makes.
const containerIDDigits = 12

// fullID gives the ID of the container that arg means: arg itself, or the one random ID of an image's
// container that begins with it. A name that somebody chose has to be given whole: "web" must not stop
// "web2". An arg that means nothing is given back, for the caller's own error.
func (a *app) fullID(arg string) (string, error) {
	if len(arg) >= containerIDDigits || !isHex(arg) {
		return arg, nil
	}
	if _, made := a.madeFromImage(arg); made {
		return arg, nil
	}
	if _, err := a.load(arg); err == nil {
		return arg, nil
	}
	root, err := a.containersRoot()
	var dirs []containerDir
	if err == nil {
		dirs, err = containerDirs(root)
	}
	if err != nil {
		return "", fmt.Errorf("find container %s: %w", arg, err)
	}
	var found []string
	for _, dir := range dirs {
		if id := filepath.Base(dir.path); len(id) == containerIDDigits && isHex(id) && strings.HasPrefix(id, arg) {
			found = append(found, id)
		}
	}
	switch len(found) {
	case 0:
		return arg, nil
	case 1:
		return found[0], nil
	}
	return "", usageErrorf(nil, "%q begins the IDs of several containers: %s", arg, strings.Join(found, ", "))
}

// isHex tells whether s is lower-case hexadecimal digits, and at least one.
func isHex(s string) bool {
	return s != "" && strings.Trim(s, "0123456789abcdef") == ""
}
