"""Access to paths: the one rule about accounts.

An account may read and change everything below its own login; every account, and callers without one, may read what
is below `public`. Requests at the gateway, inputs of jobs, outputs of tasks and sources of links all use these
functions.
"""

from __future__ import annotations

from scheduler.model import names


def may_write(login: str | None, path: str) -> bool:
    """Whether an account, or a caller without one (None), may change what is at a normal path."""
    return login is not None and names.owner(path) == login


def may_read(login: str | None, path: str) -> bool:
    """Whether an account, or a caller without one (None), may read what is at a normal path."""
    return may_write(login, path) or names.top(path) == "public"
