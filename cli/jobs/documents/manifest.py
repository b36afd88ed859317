"""A job in a file, to be kept with the programs that it runs: JSON, or YAML with comments.

The keys are those of the jobs API. JSON goes to the service as it is, byte for byte. YAML says more than JSON
can (dates, sets, keys that are numbers): that is refused here, with the place where it stands.

Example: `{name: count words, phases: [{exec: wc -w}, {type: reduce, exec: paste -sd+ | bc}]}`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from cli.client.problem import Problem
from scheduler.model.tiers import MAX_JOB_BYTES

YAML = (".yaml", ".yml")


def read(file: str) -> bytes:
    """The JSON text of the job in a file; YAML if its name says so. Raises `Problem`, `OSError`."""
    with open(file, "rb") as manifest:
        text = manifest.read()
    if file.lower().endswith(YAML):
        return from_yaml(file, text)
    try:
        json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Problem(f"{file} is not JSON: {error}") from None
    return text


def renamed(file: str, text: bytes, name: str) -> bytes:
    """The JSON text with another name for the job; without a name it is the same, byte for byte. Raises `Problem`."""
    if not name:
        return text
    document = json.loads(text)
    if not isinstance(document, dict):
        raise Problem(f"{file} is no job: a job is a JSON object")
    from cli.jobs.documents.specification import encoded

    return encoded({**document, "name": name})


def from_yaml(file: str, text: bytes) -> bytes:
    """The JSON text of a YAML document. Raises `Problem`."""
    import yaml

    from cli.jobs.documents.specification import encoded

    try:
        document = yaml.safe_load(text)
        for count, (where, value) in enumerate(parts(document)):
            if count > MAX_JOB_BYTES:
                raise Problem(f"{file} comes to more than {MAX_JOB_BYTES} values")
            check(where or "the job", value)
        return encoded(document)
    except yaml.YAMLError as error:
        raise Problem(f"{file} is not YAML: {said(error)}") from None
    except RecursionError:
        raise Problem(f"{file} is nested too deeply") from None
    except ValueError as error:
        raise Problem(f"{file}: {error}") from None


def parts(value: Any, where: str = "") -> Iterator[tuple[str, Any]]:
    """A value and all that is in it, each with its place (`phases[0].exec`)."""
    yield where, value
    if isinstance(value, dict):
        for key, item in value.items():
            yield from parts(item, f"{where}.{key}".lstrip("."))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from parts(item, f"{where}[{index}]")


def check(where: str, value: Any) -> None:
    """Raises ValueError for what JSON cannot say."""
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise ValueError(f"the key {key!r} of {where} is no text: put it in quotes")
    elif not (value is None or isinstance(value, list | str | bool | int | float)):
        raise ValueError(f"{where} is a {type(value).__name__}: put it in quotes if it is a text")


def said(error: Any) -> str:
    """What is wrong with YAML, and where, on one line."""
    mark = getattr(error, "problem_mark", None)
    place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return place + (getattr(error, "problem", None) or " ".join(str(error).split()))
