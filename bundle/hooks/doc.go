// Package hooks reads directories of hooks as podman and CRI-O do (oci-hooks(5)): JSON files that each name a program
// of the host, the stages of a container's life at which it runs, and the containers for which it does.
//
// What it promises:
//   - Both forms are read: 1.0.0, in which all conditions of "when" must hold, and 0.1.0, which has no "version", in which one
//     is enough. A file of a later directory stands for one of the same name in an earlier one; hooks are in the order of
//     their file names in lower case.
//   - Files are regular, of at most MaxFile bytes, strict JSON: a key that occurs twice, a value of the wrong type, a stage or a
//     version that nobody knows, a pattern that is none are an *Error with the file and the JSON pointer. Unknown keys are skipped.
//   - Patterns are those of package regexp, as with podman: they take time in proportion to the text, whatever they are.
//   - Nothing is run here, and only what Load is asked to read is read: no directory is searched by default, where podman
//     has /usr/share/containers/oci/hooks.d and /etc/containers/oci/hooks.d.
//
// The stages are those of runtime-spec: prestart, createRuntime, createContainer, startContainer, poststart, poststop. Podman's
// own stage, precreate, changes the config before the runtime sees it: it is refused (ErrPrecreate), as no config.json can say it.
// A hook at poststop goes into config.json like any other, where podman keeps it back to run it itself.
package hooks
