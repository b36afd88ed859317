"""The project's commands as tasks see them: `mls`, `mput`, `mjob` and all others.

The tools are static programs, but the commands are Python, and tasks may not see the interpreter
and the packages: both usually lie below a user's home directory, and home directories are not
shown. So the files that the commands need are shown, read-only, and nothing else of that home:

    /.remora/python/bin/python3       the interpreter, and its standard library where it looks
    /.remora/python/lib/python3.11    for that: from its own place
    /.remora/packages/…               our packages; the directories with those that they import
    /.remora/bin/mls …                a script for each command, beside mpipe and the rest
    /.remora/bin/.python/…            the loader and all libraries of the interpreter, and `launch`

An image has bash and may have nothing else, no C library and no /bin/sh. So the first line of a
script names `launch`, a static program, which starts the interpreter by its own loader on its own
libraries. The libraries are those that the kernel has mapped for the agent; links beside them have
the names that programs are linked with.

No environment variable of a task refers to these files, so a Python program of the task's own does
not see our packages; and variables that a task sets (`PYTHONPATH`, `PYTHONHOME`) do not affect our
commands, since `-I` ignores them, and `-S` saves the time to search for site directories. Without
namespaces a shell script starts the same files at their original places; `shown` then lists the
places that tasks must be allowed to read, the interpreter's libraries among them.

The directory of tools is made when the agent starts, below the state directory (or see `tools_place`), from copies: the
programs may lie on another file system, and an installation may be replaced while the agent runs.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from importlib import import_module, metadata
from pathlib import Path

import datapath
from datapath import LIBEXEC, PREFORK, libexec
from datapath.host_view import PROGRAMS

DISTRIBUTION = "remora"
OURS = ("cli", "scheduler", "datapath")
# Not for tasks: they start instances, our scripts, a service or shells, or hold a reservation.
LAUNCH = "launch"
TERMINAL = "terminal"
SESSION_TOOL = ".terminal"  # its name in the directory of tools, for shells beside tasks
NOT_TOOLS = ("lackey", LAUNCH, "remora", "launcher", TERMINAL, *PREFORK)
INSIDE = "/.remora"
PYTHON = "python/bin/python3"
LIBRARIES = ".python"  # in the directory of tools
LOADER = "loader"
PACKAGES = ".packages"  # in the directory of tools, without namespaces
# Modules with libraries that the commands need and an agent may not have loaded.
EXTENDED = ("ctypes", "sqlite3", "ssl", "zlib")
REQUIREMENT = re.compile(r"[A-Za-z0-9._-]+")
INSIDE_LAUNCHER = f"""#!{INSIDE}/bin/{LIBRARIES}/{LAUNCH} {INSIDE}/{PYTHON}
{{code}}
"""
LAUNCHER = """#!/bin/sh
exec {python} -I -S -X utf8 -c {code} "$@"
"""
log = logging.getLogger("remora.agent")


class Programs:
    """The files shown to instances: `tools` is a directory, `shown` further paths by their name below /.remora."""

    def __init__(self, tools: Path, isolated: bool) -> None:
        """Make the directory anew. Raises OSError."""
        self.tools = tools
        self.shown: dict[str, Path] = {}
        shutil.rmtree(tools, ignore_errors=True)
        tools.mkdir(mode=0o755, parents=True)
        for program in LIBEXEC.iterdir():
            if program.name not in NOT_TOOLS:
                shutil.copy(program, tools)
        shutil.copy(libexec(TERMINAL), tools / SESSION_TOOL)
        copy_prefork(tools)
        try:
            self._add_commands(isolated)
        except metadata.PackageNotFoundError as missing:
            log.warning("tasks have no mls, mput, mjob: they are not installed", extra={"why": str(missing)})

    def _add_commands(self, isolated: bool) -> None:
        commands = {entry.name: entry.value for entry in installed().entry_points}
        packages = package_places()
        self.shown = python_places() | packages
        if isolated:
            copy_libraries(self.tools / LIBRARIES)
        else:
            self.shown |= {f"{LIBRARIES}/{path.name}": path for path in libraries() if not is_shown_anyway(path)}
            packages |= link_packages(self.tools / PACKAGES)
            unread = [str(path) for path in self.shown.values() if not path.stat().st_mode & 0o004]
            if unread and os.geteuid() == 0:
                log.warning("tasks cannot use mls, mput, mjob: others may not read them", extra={"paths": unread})
        for name, target in commands.items():
            if name not in NOT_TOOLS:
                launcher = self.tools / name
                launcher.write_text(launcher_of(name, target, isolated, packages))
                launcher.chmod(0o755)


def copy_prefork(tools: Path) -> None:
    """Put what bash loads where the lackey looks for it (`src/lackey/prefork.c`)."""
    for name in PREFORK:
        shutil.copy(libexec(name), tools / f".{name}")


def installed() -> metadata.Distribution:
    """This project as installed. Raises PackageNotFoundError.

    A build leaves a `remora.egg-info` in the source tree, which would be found first and may be of any age; it has no
    list of files.
    """
    for found in metadata.distributions(name=DISTRIBUTION):
        if found.read_text("RECORD") is not None:
            return found
    raise metadata.PackageNotFoundError(DISTRIBUTION)


def launcher_of(name: str, target: str, inside: bool, packages: dict[str, Path]) -> str:
    """The script that runs one command; `target` is `module:function`."""
    places = [f"{INSIDE}/{place}" if inside else str(path) for place, path in packages.items()]
    # Our own packages are shown one by one, since their parent directory holds other files.
    search = list(dict.fromkeys(os.path.dirname(p) if os.path.basename(p) in OURS else p for p in places))
    module, _, function = target.partition(":")
    code = f"import sys; sys.path[:0] = {search}; sys.argv[0] = {name!r}; from {module} import {function} as run; run()"
    if inside:
        return INSIDE_LAUNCHER.format(code=code)
    return LAUNCHER.format(python=shlex.quote(sys.executable), code=shlex.quote(code))


def python_places() -> dict[str, Path]:
    """The running interpreter's directories, by their name below /.remora."""
    standard = Path(os.__file__).parent
    return {
        PYTHON: Path(sys.executable).resolve(),
        f"python/{sys.platlibdir}/{standard.name}": standard,
    }


def package_places() -> dict[str, Path]:
    """Directories to import from, by their name below /.remora. Raises PackageNotFoundError."""
    ours = Path(datapath.__file__).parents[1]
    places = {f"packages/own/{name}": ours / name for name in OURS}
    for number, place in enumerate(dict.fromkeys(site_places())):
        places[f"packages/{number}"] = place
    return places


def link_packages(directory: Path) -> dict[str, Path]:
    """Make a directory of links to our packages. Tasks may list it, but not the packages' parent directories."""
    directory.mkdir(mode=0o755)
    ours = Path(datapath.__file__).parents[1]
    for name in OURS:
        (directory / name).symlink_to(ours / name)
    return {f"packages/own/{name}": directory / name for name in OURS}


def site_places() -> Iterator[Path]:
    """The directories of all distributions that this project requires."""
    for requirement in installed().requires or ():
        name, _, condition = requirement.partition(";")
        if "extra" not in condition and (match := REQUIREMENT.match(name)):
            yield Path(str(metadata.distribution(match[0]).locate_file(""))).resolve()


def copy_libraries(target: Path) -> None:
    """Copy the libraries with which the interpreter starts on a machine that has none. Raises OSError."""
    target.mkdir(mode=0o755)
    shutil.copy(libexec(LAUNCH), target)
    for library in libraries():
        link_or_copy(library, target / library.name)
        names = [LOADER] if library.name.startswith("ld") else other_names(library)
        for name in names:
            with contextlib.suppress(FileExistsError):
                (target / name).symlink_to(library.name)


def link_or_copy(source: Path, target: Path) -> None:
    """Link a large file, which is replaced by renaming if at all; copy it if that fails. Raises OSError."""
    try:
        target.hardlink_to(source)
    except OSError:
        shutil.copy(source, target)


def libraries() -> Iterator[Path]:
    """Shared objects that the dynamic loader has mapped for this process, except Python's extensions."""
    for module in EXTENDED:
        import_module(module)
    extensions = (str(Path(os.__file__).parent), *map(str, site_places()), str(LIBEXEC.parent))
    with open("/proc/self/maps") as maps:
        found = {fields[5].rstrip("\n") for line in maps if len(fields := line.split(None, 5)) == 6}
    for path in sorted(found):
        if re.search(r"\.so(\.[0-9.]+)?$", path) and not path.startswith(extensions):
            yield Path(path)


def is_shown_anyway(path: Path) -> bool:
    return any(map(path.is_relative_to, PROGRAMS))


def other_names(library: Path) -> Iterator[str]:
    """`libz.so.1` for `libz.so.1.3`: the kernel reports a file's path, not the name by which it was loaded."""
    family = re.match(r"[A-Za-z_+]+", library.name)
    for path in library.parent.glob(f"{family[0]}*.so*") if family else ():
        if path.is_symlink() and path.name != library.name and path.resolve() == library:
            yield path.name
