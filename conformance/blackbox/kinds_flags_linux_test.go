package blackbox_test

// flagKinds are bundles of one image that flags changed: what they ask for is in config.json, and every runtime does it.
func flagKinds() []imageKind {
	sh := func(name, script, want string, flags ...string) imageKind {
		return imageKind{name: name, from: "busybox", flags: flags, args: []string{"sh", "-c", script}, want: want}
	}
	return []imageKind{
		sh("flags-process", `id -u; id -G; pwd; ulimit -n; ulimit -Hn; cat /proc/self/oom_score_adj; echo "$A"; umask`, "4321\n8765 44\n/tmp\n100\n200\n300\nb c\n0022\n",
			"--user", "4321:8765", "--group-add", "44", "--workdir", "/tmp", "--ulimit", "nofile=100:200", "--oom-score-adj", "300", "--env", "A=b c"),
		sh("flags-files", `grep -c ' /t tmpfs .*size=1024k' /proc/mounts; grep -c ' /m tmpfs .*noexec' /proc/mounts; touch /x 2>/dev/null || echo refused; stat -c '%t:%T' /dev/z; head -c 3 /dev/z | wc -c; df -k /dev/shm | tail -1 | awk '{print $2}'`, "1\n1\nrefused\n1:5\n3\n2048\n",
			"--tmpfs", "/t:size=1m", "--mount", "type=tmpfs,dst=/m,noexec", "--read-only", "--shm-size", "2m", "--device", "/dev/zero:/dev/z:r"),
		sh("flags-isolation", `hostname; grep -e Cap -e NoNewPrivs /proc/self/status; cat /proc/sys/net/ipv4/ip_forward; wc -c </proc/version; grep -c hidepid /proc/mounts`, "",
			"--hostname", "h", "--cap-drop", "ALL", "--cap-add", "chown,net_admin", "--security-opt", "no-new-privileges", "--security-opt", "mask=/proc/version",
			"--security-opt", "proc-opts=hidepid=2", "--sysctl", "net.ipv4.ip_forward=1"),
		sh("flags-of-the-host", `hostname; readlink /proc/self/ns/net; readlink /proc/self/ns/ipc; readlink /proc/self/ns/uts; grep Seccomp: /proc/self/status`, "",
			"--network", "host", "--ipc", "host", "--uts", "host", "--security-opt", "seccomp=unconfined"),
		sh("flags-limits", `grep Cpus_allowed_list /proc/self/status; i=0; while [ $i -lt 20 ]; do sleep 1 & i=$((i+1)); done 2>/dev/null; echo reached`, "",
			"--memory", "100m", "--memory-swappiness", "10", "--cpu-period", "50000", "--cpu-quota", "40000", "--cpuset-cpus", "0", "--pids-limit", "60", "--device-cgroup-rule", "c 189:* rw"),
		sh("flags-privileged", `grep CapEff /proc/self/status; test -w /proc/sys/kernel/hostname && echo writable; grep Seccomp: /proc/self/status`, "", "--privileged", "--uts", "private"),
		sh("init", `cat /proc/1/comm; [ $$ != 1 ] && echo child; exit 5`, "oci-init\nchild\n", "--init").ends(5),
	}
}

// ends is the kind with the status that its program has.
func (k imageKind) ends(status int) imageKind {
	k.status = status
	return k
}
