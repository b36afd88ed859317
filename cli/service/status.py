"""remora status: whether the service of this machine runs, and how it is."""

from __future__ import annotations

import json
import os
import time
import urllib.request
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli import text
from cli.client.settings import state_directory
from cli.frame import FAILED, Plain
from cli.service.account_options import json_option, look, said_plainly, with_records
from cli.service.limits import in_cell
from cli.version import VERSION

if TYPE_CHECKING:
    from scheduler.service.operators.overview import Overview
    from scheduler.service.operators.totals import Total
    from scheduler.service.state import ServiceInfo

SECONDS = 5.0


@click.command("status", cls=Plain)
def command(as_json: bool, state_dir: Path | None) -> None:
    """Say whether the service of a state directory runs, where, since when, and how it is.

    \b
    Examples:
      remora status
      remora status --json | jq -r .url
      remora status >/dev/null || systemctl restart remora

    Exit status: 0 if it runs and is healthy, else 1. Of a cluster see remora cluster status.
    """
    from scheduler.service.operators.overview import overview
    from scheduler.service.operators.totals import totals
    from scheduler.service.state import ServiceNotRunning, read_info

    directory = state_dir or state_directory(os.environ)
    with said_plainly():
        try:
            info = read_info(directory)
        except ServiceNotRunning:
            info = None
    found: dict[str, Any] = {"running": False, "state_dir": str(directory)}
    if info is not None:
        found = described(info, *look(state_dir, lambda c: (overview(c), totals(c, only_limited=True))))
    if as_json:
        print(text.compact(found))
    else:
        for name, value in in_words(found):
            print(f"{name:10}{text.escape(value)}")
    if found.get("health", {}).get("status") != "ok":
        click.get_current_context().exit(FAILED)


def described(info: ServiceInfo, now: Overview, limits: dict[str, Total]) -> dict[str, Any]:
    from scheduler.service.operators.overview import machine

    space = machine(Path(info.state_dir))
    return {
        "running": True,
        "version": VERSION,
        "url": info.public or info.url,
        "pid": info.pid,
        "seconds": running_for(info.pid),
        "state_dir": info.state_dir,
        "instances": info.instances,
        "health": health(info.url),
        "jobs": len(now.jobs),
        "tasks": {"running": now.running, "ready": now.ready},
        "nodes": [node.name for node in now.nodes],
        "disk": {"free": space.disk_free, "size": space.disk},
        "memory": {"free": space.memory_free, "size": space.memory},
        "limits": {name: asdict(one) for name, one in limits.items()},
        "gaps": list(info.gaps),
    }


def health(url: str) -> dict[str, Any]:
    """What /healthz says; if nothing does, that."""
    try:
        with urllib.request.urlopen(f"{url}/healthz", timeout=SECONDS) as reply:  # noqa: S310 - of our own service
            return dict(json.load(reply))
    except urllib.error.HTTPError as error:
        with suppress(ValueError):
            return dict(json.load(error))
        return {"status": f"/healthz answers {error.code}"}
    except (OSError, ValueError) as error:
        return {"status": f"/healthz does not answer: {error}"}


def running_for(pid: int) -> int:
    """Seconds since a process started."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        started = int(fields[19]) / os.sysconf("SC_CLK_TCK")
        return max(0, int(time.clock_gettime(time.CLOCK_BOOTTIME) - started))
    except (OSError, ValueError, IndexError):
        return 0


def in_words(found: dict[str, Any]) -> list[tuple[str, str]]:
    if not found["running"]:
        return [("remora", f"does not run (state {found['state_dir']})")]
    from cli.service.retention import shown

    size, health = text.human_size, found["health"]
    wrong = [f"{name}: {why}" for name, why in health.items() if name != "status" and why != "ok"]
    tasks, disk, memory = found["tasks"], found["disk"], found["memory"]
    return [
        ("remora", f"{found['version']} runs at {found['url']} for {shown(found['seconds'])} (process {found['pid']})"),
        ("health", "; ".join([health["status"], *wrong])),
        ("state", found["state_dir"]),
        ("jobs", f"{found['jobs']}; tasks: {tasks['running']} running, {tasks['ready']} ready"),
        ("instances", found["instances"] or "none can be made yet: see the log"),
        ("disk", f"{size(disk['free'])} free of {size(disk['size'])}"),
        ("memory", f"{size(memory['free'])} free of {size(memory['size'])}"),
        *([("limits", bounds_in_words(found["limits"]))] if found["limits"] else []),
        *(("but", gap) for gap in found["gaps"]),
    ]


def bounds_in_words(limits: dict[str, dict[str, int | None]]) -> str:
    """`bytes 1.5T of 2T, requests at most 5000`: the limits of all accounts together."""
    return ", ".join(
        f"{name} {in_cell(name, one['used'])} of {in_cell(name, one['most'])}"
        if one["used"] is not None
        else f"{name} at most {in_cell(name, one['most'])}"
        for name, one in limits.items()
    )


with_records(command, json_option())
