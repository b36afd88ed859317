"""Which system calls the tasks of a container may make: all but those that they have no business with.

A list of what is allowed would break programs nobody thought of; what a task must not do is
already kept from it by its user namespace and its lack of capabilities. This list takes away
the kernel's rarely trodden ground, where its holes have mostly been found, and the ways into
fresh namespaces, where a task would have capabilities again.

The refusal is EPERM as for anybody without the right, but `clone3` does not exist: its flags
are in memory, where no filter can look, and every C library then falls back to `clone`. Nor can
a file have blocks beyond its end: programs know file systems that cannot do that.
"""

from __future__ import annotations

import platform
from typing import Any

EPERM, ENOSYS, EOPNOTSUPP = 1, 38, 95

DENIED = """
acct add_key bpf clock_adjtime clock_settime delete_module fanotify_init finit_module fsconfig fsmount fsopen fspick
get_kernel_syms get_mempolicy init_module io_uring_enter io_uring_register io_uring_setup ioperm iopl kcmp
kexec_file_load kexec_load keyctl lookup_dcookie mbind migrate_pages mount mount_setattr move_mount move_pages
name_to_handle_at nfsservctl open_by_handle_at open_tree perf_event_open personality pidfd_getfd pivot_root
process_madvise process_vm_readv process_vm_writev ptrace query_module quotactl quotactl_fd reboot request_key
set_mempolicy setdomainname sethostname setns settimeofday stime swapoff swapon sysfs syslog umount umount2 unshare
uselib userfaultfd ustat vhangup vm86 vm86old
""".split()

# CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET.
NAMESPACE_FLAGS = (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000)

# Modes of fallocate that take blocks beyond the end of a file: no limit on its size counts them, and what tasks
# print is on a disk that is not theirs alone. KEEP_SIZE, and ZERO_RANGE with it.
HIDDEN_BLOCKS = (0x01, 0x11)

# Families of sockets: AF_UNIX 1, AF_INET 2, AF_INET6 10 and AF_NETLINK 16 (which resolvers ask) are allowed.
DENIED_FAMILIES = (*range(3, 10), *range(11, 16))
LAST_FAMILY = 16

ARCHITECTURES = {
    "x86_64": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
    "aarch64": ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"],
}

Rule = dict[str, Any]


def profile(machine: str = platform.machine()) -> dict[str, Any]:
    """`linux.seccomp` of a runtime spec."""
    result: dict[str, Any] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [*rules()]}
    if machine in ARCHITECTURES:
        result["architectures"] = ARCHITECTURES[machine]
    return result


def rules() -> list[Rule]:
    masked = [refuse(["clone"], masked_argument(0, flag)) for flag in NAMESPACE_FLAGS]
    families = [refuse(["socket", "socketpair"], argument(0, family, "SCMP_CMP_EQ")) for family in DENIED_FAMILIES]
    hidden = [refuse(["fallocate"], argument(1, mode, "SCMP_CMP_EQ"), error=EOPNOTSUPP) for mode in HIDDEN_BLOCKS]
    beyond = refuse(["socket", "socketpair"], argument(0, LAST_FAMILY, "SCMP_CMP_GT"))
    return [refuse(DENIED), refuse(["clone3"], error=ENOSYS), *masked, *hidden, *families, beyond]


def refuse(names: list[str], *arguments: dict[str, Any], error: int = EPERM) -> Rule:
    return {"names": names, "action": "SCMP_ACT_ERRNO", "errnoRet": error, "args": list(arguments)}


def argument(index: int, value: int, comparison: str) -> dict[str, Any]:
    return {"index": index, "value": value, "op": comparison}


def masked_argument(index: int, flag: int) -> dict[str, Any]:
    """Matches if the flag is set."""
    return {"index": index, "value": flag, "valueTwo": flag, "op": "SCMP_CMP_MASKED_EQ"}
