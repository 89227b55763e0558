#!/bin/busybox sh
# The first program of the machine that `sandbox.py` boots: finds its disk, and goes on there.
box=/bin/busybox
$box mount -t devtmpfs dev /dev
for module in $($box cat /order); do $box insmod "/modules/$module.ko"; done
until [ -b /dev/vda ]; do $box sleep 1; done
$box mount -t ext4 /dev/vda /root
exec $box switch_root /root /bin/bash /srv/flowray/tests/aarch64/guest.sh
