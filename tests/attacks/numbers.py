"""Numbers of the system calls that attacks make, of both kinds of machine: `name:x86_64:aarch64`.

From the kernel's headers, and not from the filter's own table: a number that is wrong there must show.
"""

from __future__ import annotations

import platform

_TABLE = """
fork:57:- vfork:58:- clone:56:220 bpf:321:280 perf_event_open:298:241 io_uring_setup:425:425 userfaultfd:323:282
add_key:248:217 request_key:249:218 keyctl:250:219 init_module:175:105 delete_module:176:106 finit_module:313:273
reboot:169:142 kexec_load:246:104 swapon:167:224 swapoff:168:225 mount:165:40 ioperm:173:-
name_to_handle_at:303:264 open_by_handle_at:304:265 pidfd_open:434:434 pidfd_getfd:438:438 kcmp:312:272
fanotify_init:300:262 shmget:29:194 semget:64:190 msgget:68:186 mq_open:240:180 pivot_root:155:41 open_tree:428:428
fsopen:430:430 unshare:272:97 setns:308:268 umount2:166:39 ptrace:101:117 process_vm_readv:310:270
memfd_create:319:279 setuid:105:146 chroot:161:51 personality:135:92 inotify_init1:294:26 splice:275:76
vmsplice:278:75 clone3:435:435
"""
_COLUMN = {"x86_64": 1, "aarch64": 2}[platform.machine()]

# Of this machine; a call that it does not have is not among them.
NUMBERS = {row[0]: int(row[_COLUMN]) for row in (row.split(":") for row in _TABLE.split()) if row[_COLUMN] != "-"}
