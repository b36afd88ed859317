"""Process 1 of a machine of the development cluster: it makes its mounts, says so, and buries the dead.

    python hold.py NAME SOURCE TARGET [SOURCE TARGET ...]

Whoever ends it ends everything on the machine, which is how a machine is switched off.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

TOP = "/sys/fs/cgroup"
GENERAL = ("rw", "ro", "relatime", "noatime", "nosuid", "nodev", "noexec")


def main() -> None:
    name, *pairs = sys.argv[1:]
    socket.sethostname(name)
    for source, target in zip(pairs[::2], pairs[1::2], strict=True):
        mount("--bind", source, target)
    see_own_groups()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    print("ready", flush=True)
    os.close(1)
    while True:
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        signal.sigwait({signal.SIGCHLD})


def see_own_groups() -> None:
    """Mount each hierarchy of control groups anew: what is seen there begins at our own group."""
    lines = (line.split(" ") for line in Path("/proc/self/mounts").read_text().splitlines())
    hierarchies = [(point, kind, options) for _, point, kind, options, *_ in lines if kind in ("cgroup", "cgroup2")]
    if all(kind == "cgroup" or point != TOP for point, kind, _ in hierarchies):
        mount("-t", "tmpfs", "-o", "mode=755", "none", TOP)
    for point, kind, options in hierarchies:
        os.makedirs(point, exist_ok=True)
        if kind == "cgroup2":
            mount("-t", kind, "none", point)
        else:
            mount("-t", kind, "-o", ",".join(o for o in options.split(",") if o not in GENERAL), "none", point)


def mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True)


if __name__ == "__main__":
    main()
