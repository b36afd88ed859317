"""What a container is given and what it is kept from, as its runtime is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from scheduler.providers.containerd import seccomp
from scheduler.providers.containerd.spec import Container, runtime_spec

PLACE = Path("/place")


def container(**changes: object) -> Container:
    values: dict[str, object] = {
        "root": PLACE / "root",
        "control": PLACE / "control",
        "inputs": PLACE / "input",
        "shown": {"bin": Path("/tools"), "lackey": Path("/lackey")},
        "group": "/remora/me/3",
        "first_user": 0x60030000,
        "users": 65536,
        "memory_bytes": 128 << 20,
        "disk_bytes": 2 << 30,
        "open_files": 4096,
    }
    return Container(**(values | changes))  # type: ignore[arg-type]


SPEC = runtime_spec(container())


def test_its_users_are_nobody_of_the_machine() -> None:
    assert SPEC["linux"]["uidMappings"] == [{"containerID": 0, "hostID": 0x60030000, "size": 65536}]
    assert SPEC["linux"]["gidMappings"] == SPEC["linux"]["uidMappings"]


def test_it_has_namespaces_of_its_own_but_for_the_network() -> None:
    assert {each["type"] for each in SPEC["linux"]["namespaces"]} == {"user", "pid", "mount", "ipc", "uts", "cgroup"}
    assert all("path" not in each for each in SPEC["linux"]["namespaces"])


def test_it_can_gain_nothing() -> None:
    process = SPEC["process"]
    assert process["noNewPrivileges"] is True
    assert process["env"] == []
    kept = set(process["capabilities"]["bounding"])
    assert not kept & {"CAP_SYS_ADMIN", "CAP_SYS_PTRACE", "CAP_NET_RAW", "CAP_MKNOD", "CAP_SETPCAP", "CAP_SYS_CHROOT"}


def test_its_memory_is_capped_without_swap_and_its_processes_are_counted() -> None:
    resources = SPEC["linux"]["resources"]
    assert resources["memory"] == {"limit": 128 << 20, "swap": 128 << 20}
    assert resources["pids"]["limit"] > 0
    assert resources["devices"] == [{"allow": False, "access": "rwm"}]


def test_whatever_is_mounted_from_the_machine_is_read_only() -> None:
    binds = {mount["destination"]: mount["options"] for mount in SPEC["mounts"] if mount["type"] == "bind"}
    assert set(binds) >= {"/manta", "/.remora", "/.remora/bin", "/.remora/lackey"}
    assert all("ro" in options and "nosuid" in options and "nodev" in options for options in binds.values())


@pytest.mark.parametrize("path", ["/proc/sys", "/proc/sysrq-trigger"])
def test_the_kernel_is_not_to_be_changed(path: str) -> None:
    assert path in SPEC["linux"]["readonlyPaths"]


@pytest.mark.parametrize("call", "mount ptrace bpf unshare setns keyctl io_uring_setup syslog kexec_load".split())
def test_a_task_has_no_business_with(call: str) -> None:
    refused = [rule for rule in SPEC["linux"]["seccomp"]["syscalls"] if call in rule["names"] and not rule["args"]]
    assert [rule["errnoRet"] for rule in refused] == [seccomp.EPERM]


def test_clone_without_namespaces_is_all_there_is_to_make_processes() -> None:
    rules = seccomp.rules()
    assert [rule["errnoRet"] for rule in rules if "clone3" in rule["names"]] == [seccomp.ENOSYS]
    flags = {rule["args"][0]["value"] for rule in rules if "clone" in rule["names"]}
    assert flags == set(seccomp.NAMESPACE_FLAGS)
    assert all(flag & 0x7E020000 for flag in flags)


def test_sockets_are_of_four_families() -> None:
    def refused(family: int) -> bool:
        arguments = [rule["args"][0] for rule in seccomp.rules() if "socket" in rule["names"]]
        return any(
            family == argument["value"] if argument["op"] == "SCMP_CMP_EQ" else family > argument["value"]
            for argument in arguments
        )

    assert [family for family in range(50) if not refused(family)] == [0, 1, 2, 10, 16]
