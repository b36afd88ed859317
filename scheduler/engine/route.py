"""Routing: which reducer an object goes to: the one that the task named, else any, all equally likely.

The draw is an argument, so that a test can fix it and a replay repeats it.
"""

from __future__ import annotations


def reducer_for(explicit: int | None, reducers: int, draw: float) -> int | None:
    """The reducer's number, 0 … reducers-1, or None if the explicit one does not exist.

    `draw` is a random number in [0, 1), used only when the task named no reducer.
    """
    if explicit is None:
        return int(draw * reducers)
    return explicit if 0 <= explicit < reducers else None


def no_such_reducer(explicit: int, reducers: int) -> str:
    """The message of the InvalidArgumentError for an explicit reducer that does not exist."""
    return f'reducer "{explicit}" specified, but only {reducers} reducers exist'
