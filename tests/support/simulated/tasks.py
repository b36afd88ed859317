"""What simulated tasks do: functions of their input, so that what they leave does not depend on where they run."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from scheduler.model.wire import PoolSpec

Shape = list[dict[str, object]] | dict[str, object]
MAP = {"exec": "map"}
SHAPES = (
    [MAP, MAP, MAP],
    [MAP, {"exec": "r", "type": "reduce", "count": 2}, MAP],
    [MAP, MAP, {"exec": "r", "type": "reduce", "count": 3}],
    [MAP, {"exec": "r", "type": "reduce", "count": 2}, MAP, {"exec": "r", "type": "reduce"}],
    [MAP, {"exec": "r", "type": "reduce", "count": 2}, {"exec": "r", "type": "reduce", "count": 2}, MAP],
)
# An operation whose lines are divided: its tasks leave shuffle files, of which readers get a partition each.
DIVIDED = {"reducer": {"exec": "r"}, "per_object": True, "partition_count": 3}
SHUFFLE: dict[str, object] = {"type": "map_reduce", "spec": DIVIDED}
DICE: dict[str, object] = {"type": "map_reduce", "spec": {"mapper": {"exec": "m"}, **DIVIDED}}


def digest(*parts: object) -> int:
    return int.from_bytes(hashlib.md5(repr(parts).encode(), usedforsecurity=False).digest()[:6], "big")


@dataclass(slots=True)
class Said:
    """One output of a task: its bytes, and the name that it chose, or None."""

    data: bytes
    name: str | None = None


def outputs_of(spec: PoolSpec, data: bytes) -> list[Said] | None:
    """What a task makes of its input; None if it fails."""
    if spec.operation is not None:
        return [Said(b"%d(%s)" % (spec.phase, data))]
    drawn = digest(spec.phase, data)
    if drawn % 13 == 0 and not spec.blocking:
        return None
    said = []
    for number in range(1 + drawn % 3):
        text = b"" if digest(drawn, number) % 11 == 0 else f"{spec.phase}.{number}.{drawn:x}".encode()
        name = f"/{spec.login}/stor/named/{spec.phase}.{number}.{drawn:x}" if digest(number, drawn) % 7 == 0 else None
        said.append(Said(text, name))
    return said


Does = Callable[[PoolSpec, bytes, int], list[Said] | None]


def as_is(spec: PoolSpec, data: bytes, attempt: int) -> list[Said] | None:
    """What a task makes of its input, in whatever attempt."""
    return outputs_of(spec, data)
