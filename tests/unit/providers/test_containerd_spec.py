"""What a container is given and what it is kept from, as its runtime is told."""

from __future__ import annotations

from pathlib import Path

import pytest

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


@pytest.mark.parametrize("path", ["/proc/keys", "/proc/kcore", "/proc/timer_list"])
def test_what_the_kernel_tells_of_others_is_covered(path: str) -> None:
    assert path in SPEC["linux"]["maskedPaths"]


def test_system_calls_are_left_to_the_lackey() -> None:
    assert "seccomp" not in SPEC["linux"]
