# guest.sh RUNTIME SHARE: runs inside a virtual machine and prints "ok CHECK", "not ok CHECK -- WHY" or
# "skip CHECK -- WHY", a line each, then "done".
oci=$1 share=$2
work=$(mktemp -d); trap 'cd /; rm -rf "$work"' EXIT; cd "$work" || exit 1
export OCI_ROOT=$work/store OCI_STATE=$work/state
root() { [ "$(id -u)" = 0 ]; }
v2() { [ "$(stat -fc %T /sys/fs/cgroup)" = cgroup2fs ]; }
rt() { "$oci" "$@" >out 2>err </dev/null; }
why() { echo "$* (status $status): $(tail -n 2 err | tr '\n' ' ')$(tail -n 2 out | tr '\n' ' ')"; }
check() { # NAME COMMAND...: the command leaves its reason in $reason
  reason=
  if "${@:2}"; then echo "ok $1"; else echo "not ok $1 -- ${reason:-$(why "${@:2}")}"; fi
}
fail() { reason=$*; return 1; }

# a foreign bundle: runc's config.json on a busybox
mkdir -p bundle/rootfs/{bin,proc,sys,dev,tmp}
cp "$(command -v busybox)" bundle/rootfs/bin/busybox
for a in sh cat sleep echo true dd head mknod seq; do ln -s busybox bundle/rootfs/bin/$a; done
if root; then runc spec --bundle bundle; else runc spec --rootless --bundle bundle; fi
mv bundle/config.json base.json
config() { # JQ-FILTER [SH-SCRIPT]
  jq --arg s "${2:-sleep 1000; exit}" '.process.terminal=false | .root.readonly=false | del(.process.rlimits)
    | .process.args=["/bin/sh","-c",$s] | '"$1" base.json >bundle/config.json
}
run() { config "$1" "$2"; rt run --bundle bundle "r$RANDOM$RANDOM"; status=$?; }
status_of() { "$oci" state "$1" 2>/dev/null | jq -r .status; }
until_is() { # ID STATUS
  for _ in $(seq 100); do [ "$(status_of "$1")" != "$2" ] || return 0; sleep 0.1; done
  fail "the status is $(status_of "$1"), not $2"
}
cgroup_of() { # PID CONTROLLER: its directory below /sys/fs/cgroup
  local line
  if v2; then line=$(grep '^0::' /proc/$1/cgroup); echo "/sys/fs/cgroup${line#0::}"; return; fi
  line=$(grep -E "^[0-9]+:([^:]*,)?$2(,[^:]*)?:" /proc/$1/cgroup)
  echo "/sys/fs/cgroup/$2${line#*:*:}"
}
value() { cat "$(cgroup_of "$pid" "$1")/$2" 2>&1; }

lifecycle() {
  config .
  rt create --bundle bundle --pid-file pid c1; status=$?
  [ $status = 0 ] || return 1
  [ "$(status_of c1)" = created ] || fail "after create the status is $(status_of c1)" || return 1
  rt start c1; status=$?
  [ $status = 0 ] || return 1
  until_is c1 running || return 1
  group=$(cgroup_of "$(cat pid)" pids)
  rt kill c1 KILL; status=$?
  [ $status = 0 ] || return 1
  until_is c1 stopped || return 1
  rt delete c1; status=$?
  [ $status = 0 ] || return 1
  ! rt state c1 || fail "state knows the container after delete"
}
own_cgroup() { # of the container of lifecycle
  case $group in
    */c1*) ;;
    *) fail "the cgroup $group is not the container's own"; return ;;
  esac
  [ ! -d "$group" ] || fail "delete left $group"
}
limits() {
  config '.linux.resources += {memory:{limit:67108864},pids:{limit:32},cpu:{quota:50000,period:100000,shares:512}}'
  rt create --bundle bundle --pid-file pid c2; status=$?
  [ $status = 0 ] || return 1
  pid=$(cat pid)
  if v2; then
    got="$(value memory memory.max) $(value pids pids.max) $(value cpu cpu.max)"; want='67108864 32 50000 100000'
  else
    got="$(value memory memory.limit_in_bytes) $(value pids pids.max) $(value cpu cpu.cfs_quota_us) $(value cpu cpu.shares)"; want='67108864 32 50000 512'
  fi
  rt delete --force c2; status=$?
  [ "$got" = "$want" ] || fail "the limits are $got, want $want" || return 1
  [ $status = 0 ]
}
expect() { # STATUS [OUTPUT]
  [ $status = "$1" ] || return 1
  [ $# = 1 ] || [ "$(cat out)" = "$2" ]
}
pids_limit() {
  run '.linux.resources.pids={limit:8}' 'for i in $(seq 20); do sleep 1 & done; exit 0'
  grep -q "can't fork" err || fail "20 processes started with pids.limit 8: $(why run)"
}
memory_limit() {
  run '.linux.resources.memory={limit:33554432}' 'dd if=/dev/zero of=/dev/null bs=100M count=1; echo $?'
  expect 0 137
}
device_rules() {
  run '(.process.capabilities[]) += ["CAP_MKNOD"]' '(head -c1 /dev/zero; mknod /tmp/d b 98 0 && head -c1 /tmp/d || echo denied) 2>/dev/null | head -c 20 | cat -v'
  grep -q denied out || { fail "a disk can be read: $(why run)"; return; }
  run '.' 'head -c1 /dev/zero >/dev/null && echo x >/dev/null && echo open'
  expect 0 open
}
cgroup_namespace() {
  run '.linux.namespaces |= (map(select(.type != "cgroup")) + [{type:"cgroup"}])' 'cat /proc/self/cgroup'
  [ $status = 0 ] && ! grep -vq ':/$' out || fail "the container sees its place: $(tr '\n' ' ' <out)"
}
tiny() {
  run '.linux.resources.pids={limit:1}' 'exec true'; expect 0 || return 1
  run '.linux.resources.memory={limit:1048576}' 'exec true'; expect 0
}
image() { # FLAGS...
  "$oci" run --rm "$@" oci:$share/busybox:latest sh -c 'echo $((6*7)); exit 3' >out 2>err </dev/null; status=$?
  expect 3 42
}
leftovers() {
  left=$(find /sys/fs/cgroup -type d \( -name 'c[12]' -o -name 'r[0-9]*[0-9]' \) 2>/dev/null | head -n 3)
  [ -z "$left" ] || fail "left: $left" || return 1
  left=$(ls "$OCI_STATE" 2>/dev/null)
  [ -z "$left" ] || fail "left in the state directory: $left"
}

check 'create, start, state, kill, delete' lifecycle
check 'a cgroup of its own, and none afterwards' own_cgroup
check 'limits: memory, pids and cpu are set' limits
check 'limits: pids holds' pids_limit
check 'limits: memory holds' memory_limit
check 'limits: one process, one MiB' tiny
if root; then check 'devices: only the allowed ones' device_rules; else echo 'skip devices: only the allowed ones -- rootless: a user namespace makes no devices'; fi
check 'cgroup namespace' cgroup_namespace
case $oci in
  */oci)
    if [ -d $share/busybox ]; then check 'run an image' image; check 'run an image, --memory 32m' image --memory 32m; fi ;;
esac
check 'nothing is left' leftovers
echo; echo done
