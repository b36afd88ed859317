"""What instances leave on a machine, counted while their service runs.

    before = traces(service.state_dir)
    …
    assert_traces(service.state_dir, before)

Counted is what bears the service's name: containers and whatever else its containerd keeps, the
mounts, loop devices, control groups, processes and directories of instances. An instance goes in
the background when its pool is done, so the second count waits until it is the first one again.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections import Counter
from pathlib import Path

from tests.support.eventually import PATIENCE_SECONDS, eventually_here
from tests.support.nodes.containers import owner_of
from tests.support.services.service import processes_with

KEPT = ("containers", "tasks", "snapshots", "leases", "content", "images")  # what containerd can list


def traces(state_dir: Path) -> Counter[str]:
    """How many there are of each kind; a kind that is not there is not counted."""
    owner, state = owner_of(state_dir), str(state_dir.resolve())
    groups = groups_of(owner)
    found: Counter[str] = Counter()
    found["mounts"] = sum(owner in line or state in line for line in lines(Path("/proc/self/mountinfo")))
    found["loop devices"] = sum(
        state in line for path in Path("/sys/block").glob("loop*/loop/backing_file") for line in lines(path)
    )
    found["control groups"] = len(groups)
    found["processes"] = len({line for group in groups for line in lines(group / "cgroup.procs")})
    found["shims"] = len(processes_with(f"-id remora-{owner}-"))
    found["directories"] = len(os.listdir(state_dir / "instances"))
    found.update(kept_by_containerd(Path("/run/remora") / owner / "containerd.sock"))
    return +found


def groups_of(owner: str) -> set[Path]:
    """The control groups of instances, in every hierarchy. Some may go meanwhile."""
    return {
        Path(at, name)
        for at, names, _ in os.walk("/sys/fs/cgroup")
        if at.endswith(f"/remora/{owner}")
        for name in names
    }


def kept_by_containerd(address: Path) -> Counter[str]:
    """Nothing if no containerd listens there."""
    found: Counter[str] = Counter()
    if address.exists():
        for kind in KEPT:
            listed = subprocess.run(
                ["ctr", "--address", str(address), "--namespace", "remora", kind, "ls"], capture_output=True, text=True
            )
            if listed.returncode:
                return Counter({"containerd that does not answer": 1})  # it may be on its way up
            found[kind] = max(0, len(listed.stdout.splitlines()) - 1)  # the first line is a heading
    return found


def lines(path: Path) -> list[str]:
    """None of a file that is gone."""
    try:
        return path.read_text().splitlines()
    except OSError:
        return []


def assert_traces(state_dir: Path, before: Counter[str], seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until there is no more of anything than before."""
    with contextlib.suppress(AssertionError):  # what is left says more
        eventually_here(lambda: not traces(state_dir) - before, "nothing is left behind", seconds)
    more = traces(state_dir) - before
    assert not more, f"left behind: {dict(more)}"
