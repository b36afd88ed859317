"""The job files and what is chosen in them.

A job file declares its variables, each with a default. Choosing means to write another default
there: so what is registered, what is printed, and what `nomad job run` would take are one text.
The variables of all files are in `variables.hcl`, which also says of what kind each is; a choice
is checked against it, because Nomad ignores a name that it does not know.

Example: `{"gateways": 3}` makes `default = 3` of `default = 2` in gateway.nomad.hcl, and changes
nothing in agent.nomad.hcl.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path

from cli.client.problem import Problem

# In the order in which they can come up: an agent wants a gateway, and that wants nothing.
JOBS = ("supervisor", "gateway", "agent")
VARIABLES = "variables.hcl"
SPACE = re.compile(r"(?:\s+|#[^\n]*|//[^\n]*)*")
NAME = re.compile(r"([A-Za-z_][A-Za-z0-9_-]*)[ \t]*=[ \t]*")
# The least of what a number may be, and why.
LEAST = {"supervisors": (2, "of fewer than two supervisors none is left when one dies")}
KINDS = {str: 'a text in quotes, "…"', int: "a whole number", list: 'a list of texts, ["…", "…"]'}
Value = str | int | list[str]


def text_of(name: str, directory: Path | None = None) -> str:
    """A file of `jobspecs`, or of a directory with changed ones. Raises `Problem`."""
    if directory is None:
        return resources.files("jobspecs").joinpath(name).read_text(encoding="utf-8")
    try:
        return (directory / name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Problem(f"cannot read {directory / name}: {reason(error)}") from None


def reason(error: OSError | UnicodeDecodeError) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else "it is not UTF-8"


def job_id(job: str) -> str:
    return f"remora-{job}"


def choices(files: Iterable[Path], words: Iterable[str], directory: Path | None = None) -> dict[str, Value]:
    """What holds: the defaults, then each file, then each `NAME=VALUE`; the last wins. Raises `Problem`."""
    chosen = parse(text_of(VARIABLES, directory), VARIABLES)
    kinds = {name: type(value) for name, value in chosen.items()}
    for file in files:
        try:
            told = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise Problem(f"cannot read the variables in {file}: {reason(error)}") from None
        chosen |= checked(parse(told, str(file)), kinds, str(file))
    for word in words:
        name, equals, told = word.partition("=")
        if not equals:
            raise Problem(f"--var wants NAME=VALUE, not {word!r}")
        value = told if kinds.get(name) is str and not told.startswith('"') else read_value(told, f"--var {name}")
        chosen |= checked({name: value}, kinds, "--var")
    return chosen


def parse(text: str, where: str) -> dict[str, Value]:
    """A file of lines `NAME = VALUE`, with comments. Raises `Problem` with the line's number."""
    found: dict[str, Value] = {}
    at = space(text, 0)
    while at < len(text):
        line = f"{where}, line {text.count(chr(10), 0, at) + 1}"
        name = NAME.match(text, at)
        if name is None:
            raise Problem(f"{line}: a variable is set by NAME = VALUE, not by {text[at:].partition(chr(10))[0]!r}")
        if name[1] in found:
            raise Problem(f"{line}: {name[1]} is set twice")
        try:
            found[name[1]], at = json.JSONDecoder().raw_decode(text, name.end())
        except ValueError:
            told = text[name.end() :].partition("\n")[0]
            raise Problem(f"{line}: {name[1]} is set to {told!r}, which is no number, text or list") from None
        at = space(text, at)
    return found


def space(text: str, at: int) -> int:
    match = SPACE.match(text, at)
    return match.end() if match else at


def read_value(told: str, where: str) -> Value:
    try:
        value: Value = json.loads(told)
    except ValueError:
        raise Problem(f"{where}: {told!r} is no number, text or list") from None
    return value


def checked(told: Mapping[str, Value], kinds: Mapping[str, type], where: str) -> Mapping[str, Value]:
    """`told`, if there are such variables and they may be that. Raises `Problem`."""
    for name, value in told.items():
        if name not in kinds:
            raise Problem(f"{where}: there is no variable {name!r}; there are {', '.join(sorted(kinds))}")
        if type(value) is not kinds[name] or (isinstance(value, list) and not all(type(v) is str for v in value)):
            raise Problem(f"{where}: {name} takes {KINDS[kinds[name]]}, not {json.dumps(value)}")
        least, why = LEAST.get(name, (0, "it counts something"))
        if isinstance(value, int) and value < least:
            raise Problem(f"{where}: {name} is at least {least}, not {value}: {why}")
        if isinstance(value, str) and ("${" in value or "%{" in value or "\n" in value):
            raise Problem(f"{where}: {name} is taken as it is: it cannot have ${{ or %{{ in it, or a line's end")
    return told


def fill(text: str, chosen: Mapping[str, Value]) -> str:
    """A job file with these defaults for the variables that it declares."""
    for name, value in chosen.items():
        block = re.compile(rf'(?m)^(variable "{re.escape(name)}" \{{\n(?:  .*\n|\n)*?  default +=) .*$')
        if declared := block.search(text):
            told = f"{declared[1]} {json.dumps(value, ensure_ascii=False)}"
            text = text[: declared.start()] + told + text[declared.end() :]
    return text


def rendered(jobs: Sequence[str], chosen: Mapping[str, Value], directory: Path | None = None) -> dict[str, str]:
    """The text of each job file, filled in, by job."""
    return {job: fill(text_of(f"{job}.nomad.hcl", directory), chosen) for job in jobs}


def policy(name: str, namespace: str, directory: Path | None = None) -> str:
    """An ACL policy, for the namespace that is chosen."""
    return text_of(f"policies/{name}.hcl", directory).replace(
        'namespace "default"', f"namespace {json.dumps(namespace)}"
    )
