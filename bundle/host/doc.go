// Package host judges whether this kernel and this machine can do what a config.json asks for: what a
// validator of the text cannot know.
//
// Probe collects Facts, plain data about the kernel, the process that asks, and the files that the config
// names. It changes nothing: it reads procfs and sysfs, looks at files without opening what might block or
// act (a FIFO, a device), and asks system calls with arguments that they refuse. It needs no privileges;
// what it may not see is unknown, and unknown is no finding. All of it is bounded, in time by its context:
// a file of a dead network server is a finding of its own, and not a wait.
//
// Judge is pure: a config and Facts in, Findings out, each with the JSON pointer, what the host lacks and
// what to do instead. A finding of Effect Refused is one for which the container does not start, here, for
// this caller; one of Effect Changed starts, and something that the config says does not hold, or
// holds under some runtimes alone. Facts of another machine can be judged as well.
//
// No finding is a promise of success only for what is looked at: values of sysctls and of options of file
// systems that have the older mount interface, the admission of deadline tasks, and limits reached at
// that moment (disk, memory, tasks) are seen by starting the container.
//
// The rules are those of the kernel (capabilities(7), user_namespaces(7), cgroups(7), mount_setattr(2),
// seccomp(2), sched(7), setrlimit(2)); a test runs bundles with one change each under real runtimes
// and holds the judgement against what happens.
package host
