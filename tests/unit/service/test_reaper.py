"""A service that is the first process of a container ends the zombies that it inherits."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import os, subprocess, sys, time
from scheduler.providers.linux.process_tree import adopt_orphans
from scheduler.service.reaper import Reaper, zombies
adopt_orphans()
ours = subprocess.Popen(["true"])  # a child that is waited for
said = subprocess.run(["sh", "-c", "sleep 0.1 >&2 & echo $!"], capture_output=True, text=True)
orphan = int(said.stdout)
while orphan not in zombies() or ours.pid not in zombies():
    time.sleep(0.01)
reaper = Reaper()
first = reaper.look()
status = ours.wait()
second = reaper.look()
print(first, status, second, list(zombies()))
"""


def test_only_zombies_that_two_looks_find_are_reaped() -> None:
    done = subprocess.run([sys.executable, "-P", "-c", SCRIPT], capture_output=True, text=True, timeout=30)
    assert done.stdout.split() == ["0", "0", "1", "[]"], done.stderr
