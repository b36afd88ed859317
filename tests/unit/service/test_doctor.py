"""The examination of a machine."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from cli.service.doctor import command as doctor_command
from scheduler.common import child
from scheduler.service import doctor
from tests.support.services.service import command

SUBJECTS = [
    *(
        "files",
        "namespaces",
        "users",
        "owners",
        "signals",
        "sockets",
        "calls",
        "memory",
        "processes",
        "disk",
        "network",
    ),
    *("core files", "free memory", "free disk", "state", "groups", "loop devices", "file systems"),
    *("mapped users", "loopback", "open ports", "runc", "containerd", "containers"),
]


def program(directory: Path, name: str, says: str) -> None:
    (directory / name).write_text(f"#!/bin/sh\necho '{says}'\n")
    (directory / name).chmod(0o755)


@pytest.mark.parametrize(
    ("version", "holes"),
    [
        ("1.1.11", {"CVE-2024-21626", "CVE-2025-31133", "CVE-2025-52565", "CVE-2025-52881"}),
        ("1.1.5+ds1", {"CVE-2024-21626", "CVE-2025-31133", "CVE-2025-52565", "CVE-2025-52881"}),
        ("1.1.12", {"CVE-2025-31133", "CVE-2025-52565", "CVE-2025-52881"}),
        ("1.2.7", {"CVE-2025-31133", "CVE-2025-52565", "CVE-2025-52881"}),
        ("1.2.8", set()),
        ("1.3.0-rc.1", {"CVE-2025-31133", "CVE-2025-52565", "CVE-2025-52881"}),
        ("1.3.2", {"CVE-2025-31133", "CVE-2025-52565", "CVE-2025-52881"}),
        ("1.3.3", set()),
        ("1.4.0-rc.2", {"CVE-2025-31133", "CVE-2025-52565", "CVE-2025-52881"}),
        ("1.4.0-rc.3", set()),
        ("1.4.0", set()),
    ],
)
def test_known_holes_of_runc_are_told_by_its_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, holes: set[str]
) -> None:
    program(tmp_path, "runc", f"runc version {version}")
    monkeypatch.setattr(child, "PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    found = doctor.version_of("runc")
    assert found.found == version
    assert set(re.findall(r"CVE-[0-9-]+", found.lack or "")) == holes
    assert bool(holes) == ("unless your distribution has mended it" in (found.lack or ""))


def test_a_program_that_is_missing_is_told_with_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "PATH", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert doctor.version_of("containerd") == doctor.Finding(
        "containerd", "not installed", "no containers (try `apt-get install containerd`)"
    )


@pytest.mark.parametrize(("size", "said"), [(1, "1 byte"), (1 << 40, "1024.0 GB")])
def test_what_is_free_is_compared_with_the_default_tiers(monkeypatch: pytest.MonkeyPatch, size: int, said: str) -> None:
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda place: SimpleNamespace(free=size))
    found = doctor.free_disk(Path("/nowhere/at/all"))
    assert (found.found, found.lack is None) == (f"{said} at /", size > 1)


def test_the_command_tells_all_and_its_status_whether_something_lacks(tmp_path: Path) -> None:
    before = Path("/proc/self/mounts").read_text().count("remora-doctor")
    words = command("remora", "doctor", "--json", "--state-dir", str(tmp_path / "state"))
    done = subprocess.run(words, capture_output=True, text=True, env={**os.environ, "TMPDIR": str(tmp_path)})
    findings = [json.loads(line) for line in done.stdout.splitlines()]
    assert [finding["subject"] for finding in findings] == SUBJECTS
    assert all(finding["found"] for finding in findings)
    assert done.returncode == any(finding["lack"] for finding in findings)
    assert os.listdir(tmp_path) == []
    assert Path("/proc/self/mounts").read_text().count("remora-doctor") == before


@pytest.mark.parametrize(
    ("lack", "status", "text"),
    [
        (None, 0, "ok    disk         9 GB\n"),
        ("tasks find less", 1, "LACK  disk         9 GB\n                   tasks find less\n"),
    ],
)
def test_the_exit_status_and_both_forms_tell_what_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lack: str | None, status: int, text: str
) -> None:
    async def found(*_: object) -> AsyncIterator[doctor.Finding]:
        yield doctor.Finding("disk", "9 GB", lack)

    monkeypatch.setattr(doctor, "examine", found)
    words = ["--state-dir", str(tmp_path)]
    plain, as_json = (CliRunner().invoke(doctor_command, [*words, *more]) for more in ([], ["--json"]))
    assert (plain.exit_code, plain.stdout) == (status, text)
    assert as_json.exit_code == status
    assert json.loads(as_json.stdout) == {"subject": "disk", "found": "9 GB", "lack": lack}


@pytest.mark.parametrize(
    ("pattern", "whose"),
    [
        ("core", None),
        ("core.%p", None),
        ("/var/cores/core.%p", "of tasks that are processes are"),
        ("|/bin/x %p", "of tasks are"),
        ("@/run/x", "of tasks are"),
    ],
)
def test_cores_lack_where_the_kernel_gives_them_to_somebody_else(pattern: str, whose: str | None) -> None:
    lack = doctor.lack_of_cores(pattern)
    assert lack is None if whose is None else whose in str(lack)


@pytest.mark.parametrize(
    ("line", "port"),
    [
        ("   0: 00000000:0016 00000000:0000 0A 00000000:00000000", 22),
        ("   1: 00000000000000000000000000000000:1F90 00000000000000000000000000000000:0000 0A", 8080),
        ("   2: 0100007F:0016 00000000:0000 0A", None),
        ("   3: 00000000000000000000000001000000:0016 00000000000000000000000000000000:0000 0A", None),
        ("   4: 00000000:0016 0200000A:C350 01", None),
    ],
)
def test_a_port_is_open_where_something_listens_at_every_address(line: str, port: int | None) -> None:
    assert doctor.open_port(line) == port
