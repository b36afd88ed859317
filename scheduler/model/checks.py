"""Checks of a job's document: one function a rule, each called with the path of a property and its value.

A check returns nothing, or raises the `WireError` InvalidJob whose sentence is part of the API:
`property "phases[0].exec": is missing and it is required`. Numbers, booleans and strings are told apart exactly, as
JSON does: `true` is no integer, and `1024.0` is not 1024.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from scheduler.model import semver
from scheduler.model.errors import WireError, invalid_job
from scheduler.model.tiers import DISK_GB, MAX_TIMEOUT_S, MEMORY_MB

Check = Callable[[str, Any], None]


def problem(path: str, text: str) -> WireError:
    return invalid_job(f'property "{path}": {text}')


def json_type(value: Any) -> str:
    """The name of a JSON value's type."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"


def wrong_type(path: str, value: Any, wanted: str) -> WireError:
    """The error for a value of another type.

    Manta's message calls null and arrays objects, as JavaScript does, except where an object is wanted.
    """
    found = json_type(value)
    if found in ("null", "array") and wanted != "object":
        found = "object"
    return problem(path, f"{found} value found, but a {wanted} is required")


def _typed(wanted: str) -> Check:
    def check(path: str, value: Any) -> None:
        if json_type(value) != wanted:
            raise wrong_type(path, value, wanted)

    return check


string = _typed("string")
boolean = _typed("boolean")
array = _typed("array")
mapping = _typed("object")


def required(path: str, value: Mapping[str, Any], key: str) -> Any:
    """The value of a key that must be there."""
    if key not in value:
        raise problem(within(path, key), "is missing and it is required")
    return value[key]


def members(path: str, value: Any, allowed: Mapping[str, Check]) -> None:
    """Check an object, each of its values by the check of its key; there must be no other keys."""
    mapping(path, value)
    for key, inner in value.items():
        check = allowed.get(key)
        if check is None:
            raise problem(within(path, key), "unsupported property")
        check(within(path, key), inner)


def within(path: str, key: str) -> str:
    """The path of a property of an object; "" is the document itself."""
    return f"{path}.{key}" if path else key


def command(path: str, value: Any) -> None:
    """Check a script that must not be empty."""
    script(path, value)
    if not value:
        raise problem(path, "must be at least 1 characters long")


def script(path: str, value: Any) -> None:
    """Check a script or the name of an asset: neither the argument of a process nor a file name can hold a NUL."""
    string(path, value)
    if "\0" in value:
        raise problem(path, "must not contain a NUL character")


def scripts(path: str, value: Any) -> None:
    array(path, value)
    for index, item in enumerate(value):
        script(f"{path}[{index}]", item)


def integer(least: int, most: int) -> Check:
    def check(path: str, value: Any) -> None:
        """Raise WireError unless the value is an integer within the bounds."""
        if type(value) is not int:  # a boolean is an int, too
            raise wrong_type(path, value, "integer")
        if value > most:
            raise problem(path, f"must have a maximum value of {most}")
        if value < least:
            raise problem(path, f"must have a minimum value of {least}")

    return check


def one_of(values: tuple[Any, ...]) -> Check:
    def check(path: str, value: Any) -> None:
        if type(value) is not type(values[0]) or value not in values:  # 1024.0 and True equal integers
            raise problem(path, f"does not have a value in the enumeration {', '.join(map(str, values))}")

    return check


def image(path: str, value: Any) -> None:
    string(path, value)
    if not value.strip():
        raise problem(path, "must be at least 1 characters long")
    try:
        semver.parse_range(value)
    except ValueError:
        raise problem(path, f'invalid semver range: "{value}"') from None


# The values of a script and of its instances, which phases and operations share.
SCRIPT: Mapping[str, Check] = {
    "exec": command,
    "init": script,
    "assets": scripts,
    "memory": one_of(MEMORY_MB),
    "disk": one_of(DISK_GB),
    "image": image,
    # An addition of Remora's: other implementations of Manta do not have it.
    "timeout": integer(1, MAX_TIMEOUT_S),
}
