#!/bin/bash
# All that the machine of `sandbox.py` does: what an init system does for a service that it delegates a control group
# to, then the one command of /srv/command, as the user of /srv/user. It is over when that is.
export PATH=/srv/flowray/.venv/bin:/usr/sbin:/usr/bin HOME=/srv/home XDG_CACHE_HOME=/srv/cache LANG=C.UTF-8 NO_COLOR=1
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t cgroup2 groups /sys/fs/cgroup
mount -t devtmpfs dev /dev
mkdir -p /dev/shm /dev/pts
mount -t tmpfs -o mode=1777 shm /dev/shm
mount -t tmpfs -o mode=1777 tmp /tmp
mount -t tmpfs run /run
ln -sfn /proc/self/fd /dev/fd
ip link set lo up
# What Linux has from 6.18 on: with the smaller buffers of before, no send buffer is too large, whatever the walls are.
echo 4194304 >/proc/sys/net/core/wmem_max
echo "KERNEL $(uname -rm)"

user=$(cat /srv/user)
group=/sys/fs/cgroup/service
echo "+memory +pids +cpu" >/sys/fs/cgroup/cgroup.subtree_control
mkdir $group
chown "$user" $group $group/cgroup.{procs,subtree_control,threads}
cd /srv/flowray || exit
(
  echo "$BASHPID" >$group/cgroup.procs
  mapfile -d '' -t command </srv/command
  exec setpriv --reuid "$user" --regid "$user" --clear-groups "${command[@]}"
) </dev/null
echo "ENDED $?"
mount -o remount,ro /
sleep 60 &
echo o >/proc/sysrq-trigger
wait
