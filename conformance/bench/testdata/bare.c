// bare ROOTFS NAME PROGRAM: starts PROGRAM in a container with a Docker-like set of namespaces, mounts,
// devices, masked paths and cgroups, and waits for it. All arguments of the calls are constants, there
// is no parsing, no state and no clean-up after a failure: it shows what the kernel's part costs.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#define OK(call) ((call) < 0 ? (perror(#call), _exit(125)) : (void)0)
#define LEN(a) (sizeof(a) / sizeof(*(a)))

static const char *v1[] = {"memory", "pids", "cpu", "devices", "freezer", "blkio"};
static const struct { const char *src, *dst, *type, *data; unsigned long flags; } mounts[] = {
	{"proc", "proc", "proc", 0, MS_NOSUID | MS_NOEXEC | MS_NODEV},
	{"tmpfs", "dev", "tmpfs", "mode=755,size=65536k", MS_NOSUID | MS_STRICTATIME},
	{"devpts", "dev/pts", "devpts", "newinstance,ptmxmode=0666,mode=0620,gid=5", MS_NOSUID | MS_NOEXEC},
	{"sysfs", "sys", "sysfs", 0, MS_NOSUID | MS_NOEXEC | MS_NODEV | MS_RDONLY},
	{"mqueue", "dev/mqueue", "mqueue", 0, MS_NOSUID | MS_NOEXEC | MS_NODEV},
	{"shm", "dev/shm", "tmpfs", "mode=1777,size=65536k", MS_NOSUID | MS_NOEXEC | MS_NODEV},
};
static const struct { const char *name; int minor; } nodes[] = {
	{"dev/null", 3}, {"dev/zero", 5}, {"dev/full", 7}, {"dev/random", 8}, {"dev/urandom", 9}};
static const char *links[][2] = {{"/proc/self/fd", "dev/fd"}, {"/proc/self/fd/0", "dev/stdin"},
	{"/proc/self/fd/1", "dev/stdout"}, {"/proc/self/fd/2", "dev/stderr"}, {"pts/ptmx", "dev/ptmx"}};
static const char *masked[] = {"/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/interrupts"};
static const char *hidden[] = {"/proc/acpi", "/sys/firmware", "/proc/scsi"};
static const char *readonly[] = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"};

static void put(const char *path, const char *text) {
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	OK(fd);
	OK(write(fd, text, strlen(text)));
	close(fd);
}

static int cgroup(char *path, const char *controller, const char *name) {
	return sprintf(path, "/sys/fs/cgroup/%s/%s", controller, name);
}

static void enter(const char *rootfs) {
	OK(mount(0, "/", 0, MS_REC | MS_PRIVATE, 0));
	OK(mount(rootfs, rootfs, 0, MS_BIND | MS_REC, 0));
	OK(chdir(rootfs));
	for (size_t i = 0; i < LEN(mounts); i++) {
		mkdir(mounts[i].dst, 0755);
		OK(mount(mounts[i].src, mounts[i].dst, mounts[i].type, mounts[i].flags, mounts[i].data));
	}
	for (size_t i = 0; i < LEN(nodes); i++) {
		OK(mknod(nodes[i].name, S_IFCHR | 0666, makedev(1, nodes[i].minor)));
		OK(chmod(nodes[i].name, 0666));
	}
	OK(mknod("dev/tty", S_IFCHR | 0666, makedev(5, 0)));
	for (size_t i = 0; i < LEN(links); i++) OK(symlink(links[i][0], links[i][1]));
	OK(syscall(SYS_pivot_root, ".", "."));
	OK(umount2(".", MNT_DETACH));
	OK(chdir("/"));
}

static void confine(void) {
	for (size_t i = 0; i < LEN(readonly); i++) {
		if (mount(readonly[i], readonly[i], 0, MS_BIND | MS_REC, 0) < 0 && errno == ENOENT) continue;
		OK(mount(0, readonly[i], 0, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NOEXEC | MS_NODEV, 0));
	}
	for (size_t i = 0; i < LEN(masked); i++)
		if (mount("/dev/null", masked[i], 0, MS_BIND, 0) < 0 && errno != ENOENT) OK(-1);
	for (size_t i = 0; i < LEN(hidden); i++)
		if (mount("tmpfs", hidden[i], "tmpfs", MS_RDONLY, "nr_blocks=1,nr_inodes=1") < 0 && errno != ENOENT) OK(-1);
	OK(sethostname("bare", 4));
	OK(setsid());
	unsigned long long keep = 0xa80425fb; // the fourteen capabilities that Docker leaves
	for (int c = 0; c <= 40; c++)
		if (!(keep >> c & 1)) OK(prctl(PR_CAPBSET_DROP, c, 0, 0, 0));
	struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2] = {{(__u32)keep, (__u32)keep, 0}, {0, 0, 0}};
	OK(syscall(SYS_capset, &head, data));
	OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog program = {1, &allow};
	OK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));
}

int main(int argc, char **argv) {
	char path[4096], file[4200], pid[16];
	int wait_for[2], status;
	if (argc < 4) return 2;
	OK(pipe2(wait_for, O_CLOEXEC));
	int ns = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET | CLONE_NEWCGROUP;
	pid_t child = syscall(SYS_clone, ns | SIGCHLD, 0, 0, 0, 0);
	OK(child);
	if (child == 0) {
		char go;
		close(wait_for[1]);
		OK(read(wait_for[0], &go, 1));
		enter(argv[1]);
		confine();
		OK(execv(argv[3], argv + 3));
	}
	sprintf(pid, "%d", child);
	for (size_t i = 0; i < LEN(v1); i++) {
		cgroup(path, v1[i], argv[2]);
		if (mkdir(path, 0755) < 0) continue; // not a version 1 machine
		sprintf(file, "%s/cgroup.procs", path);
		put(file, pid);
	}
	OK(write(wait_for[1], "", 1));
	OK(waitpid(child, &status, 0));
	for (size_t i = 0; i < LEN(v1); i++) {
		cgroup(path, v1[i], argv[2]);
		rmdir(path);
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
