"""What all accounts together store and run, beside what they may: the limits of the whole service.

Bytes, objects and jobs are counted in the records. Instances are known to agents, and requests to gateways: of those
only the limit is said here, and the metrics have the rest.
"""

from __future__ import annotations

from dataclasses import dataclass

from scheduler.model import limits
from scheduler.records import accounts
from scheduler.records.database import Connection


@dataclass(frozen=True, slots=True)
class Total:
    """One limit of the whole service; None: there is none, or what is used is not in the records."""

    most: int | None
    used: int | None = None


def totals(c: Connection, *, only_limited: bool = False) -> dict[str, Total]:
    """All of them, by the names that users write. Objects are counted by reading all names.

    `only_limited`: those that have a limit, and no names are read if objects have none.
    """
    found = limits.as_words(limits.totals(accounts.default_limits(c)))
    used: dict[str, int] = {}
    if not only_limited or found["bytes"] is not None or found["objects"] is not None:
        stored = accounts.stored_of(c, None)
        used = {"bytes": stored.bytes, "objects": stored.objects}
    row = c.one("count_open_jobs_in_all")
    assert row is not None
    used["jobs"] = row["n"]
    return {name: Total(most, used.get(name)) for name, most in found.items() if most is not None or not only_limited}
