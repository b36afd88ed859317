"""The project's own commands, for tasks: `mls`, `mput`, `mjob` and all the others.

Our tools are static programs, but the commands are Python, and neither the interpreter nor
the packages need be where a task can see them: both usually lie below somebody's home, and
homes are not shown. So what the commands need is shown, read-only, and nothing else of that
home:

    /.remora/python/bin/python3       the interpreter, and its standard library where it looks
    /.remora/python/lib/python3.11    for that: from its own place
    /.remora/python/shared/…          libraries that it is linked with, outside of /usr and /lib
    /.remora/packages/…               our packages; the directories with those that they import
    /.remora/bin/mls …                a launcher for each command, beside mpipe and the rest

A launcher says all that itself. Nothing of it is in the environment of a task, so a Python
program of the task's own does not see our packages; and nothing that a task has put into its
environment (`PYTHONPATH`, `PYTHONHOME`) gets at ours, since `-I` ignores it, and `-S` saves the
time to look for sites. Without namespaces the same launchers name the same things at home.

An image that brings bash and nothing else would need two more: the loader and the C library.
They are among what the kernel has mapped for us, as the others are (`libraries` tells), and
a launcher may call the loader by name: `/.remora/python/shared/ld-linux… python3`.

The directory of tools is made when the agent starts, below the state directory, from copies:
the programs may lie on another file system, and an installation may be replaced as we run.
"""

from __future__ import annotations

import logging
import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import datapath
from datapath import LIBEXEC

DISTRIBUTION = "remora"
OURS = ("cli", "scheduler", "datapath")
# Not for tasks: one starts instances, the other a service.
NOT_TOOLS = ("lackey", "remora")
INSIDE = "/.remora"
PYTHON = "python/bin/python3"
SHARED = "python/shared"
VISIBLE = ("/usr/", "/lib")
REQUIREMENT = re.compile(r"[A-Za-z0-9._-]+")
LAUNCHER = """#!/bin/sh
{environment}exec {python} -I -S -X utf8 -c {code} "$@"
"""
log = logging.getLogger("remora.agent")


class Programs:
    """What instances are shown: `tools` is a directory, `shown` more of the host, by its name below /.remora."""

    def __init__(self, tools: Path, isolated: bool) -> None:
        """Make the directory anew. Raises OSError."""
        self.tools = tools
        self.shown: dict[str, Path] = {}
        shutil.rmtree(tools, ignore_errors=True)
        tools.mkdir(mode=0o755, parents=True)
        for program in LIBEXEC.iterdir():
            if program.name not in NOT_TOOLS:
                shutil.copy(program, tools)
        try:
            self._add_commands(isolated)
        except metadata.PackageNotFoundError as missing:
            log.warning("tasks have no mls, mput, mjob: they are not installed", extra={"why": str(missing)})

    def _add_commands(self, isolated: bool) -> None:
        commands = {entry.name: entry.value for entry in installed().entry_points}
        packages = package_places()
        if isolated:
            self.shown = python_places() | packages
            unread = [str(path) for path in self.shown.values() if not path.stat().st_mode & 0o004]
            if unread and os.geteuid() == 0:
                log.warning("tasks cannot use mls, mput, mjob: others may not read them", extra={"paths": unread})
        for name, target in commands.items():
            if name not in NOT_TOOLS:
                launcher = self.tools / name
                launcher.write_text(launcher_of(name, target, self.shown, packages))
                launcher.chmod(0o755)


def installed() -> metadata.Distribution:
    """Ourselves as installed. Raises PackageNotFoundError.

    A build leaves a `remora.egg-info` in the tree, which is found first from there and may be of any age; it has no
    list of files.
    """
    for found in metadata.distributions(name=DISTRIBUTION):
        if found.read_text("RECORD") is not None:
            return found
    raise metadata.PackageNotFoundError(DISTRIBUTION)


def launcher_of(name: str, target: str, shown: dict[str, Path], packages: dict[str, Path]) -> str:
    """The script that runs one command; `target` is `module:function`."""
    inside = bool(shown)
    places = [f"{INSIDE}/{place}" if inside else str(path) for place, path in packages.items()]
    # Our own packages are shown one by one, since what lies around them is not ours.
    search = list(dict.fromkeys(os.path.dirname(p) if os.path.basename(p) in OURS else p for p in places))
    module, _, function = target.partition(":")
    code = f"import sys; sys.path[:0] = {search}; sys.argv[0] = {name!r}; from {module} import {function} as run; run()"
    shared = any(place.startswith(SHARED) for place in shown)
    environment = f"export LD_LIBRARY_PATH={INSIDE}/{SHARED}\n" if shared else ""
    python = f"{INSIDE}/{PYTHON}" if inside else sys.executable
    return LAUNCHER.format(environment=environment, python=shlex.quote(python), code=shlex.quote(code))


def python_places() -> dict[str, Path]:
    """The interpreter that runs us, by its name below /.remora."""
    standard = Path(os.__file__).parent
    return {
        PYTHON: Path(sys.executable).resolve(),
        f"python/{sys.platlibdir}/{standard.name}": standard,
        **{f"{SHARED}/{path.name}": path for path in libraries() if not str(path).startswith(VISIBLE)},
    }


def package_places() -> dict[str, Path]:
    """Directories to import from, by their name below /.remora. Raises PackageNotFoundError."""
    ours = Path(datapath.__file__).parents[1]
    places = {f"packages/own/{name}": ours / name for name in OURS}
    for number, place in enumerate(dict.fromkeys(site_places())):
        places[f"packages/{number}"] = place
    return places


def site_places() -> Iterator[Path]:
    """Where the distributions are that ours requires."""
    for requirement in installed().requires or ():
        name, _, condition = requirement.partition(";")
        if "extra" not in condition and (match := REQUIREMENT.match(name)):
            yield Path(str(metadata.distribution(match[0]).locate_file(""))).resolve()


def libraries() -> Iterator[Path]:
    """Shared objects that the dynamic loader has mapped for this process, extensions of Python left out."""
    extensions = (str(Path(os.__file__).parent), *map(str, site_places()), str(LIBEXEC.parent))
    with open("/proc/self/maps") as maps:
        found = {fields[5].rstrip("\n") for line in maps if len(fields := line.split(None, 5)) == 6}
    for path in sorted(found):
        if re.search(r"\.so(\.[0-9.]+)?$", path) and not path.startswith(extensions):
            yield Path(path)
