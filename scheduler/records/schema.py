"""The version of the records: the number of the newest migration that they have.

Services bring older records forward when they start. Commands never do: otherwise an operator's laptop with the next
version would migrate a running cluster, and each process there, once it restarts, would refuse records that are newer
than itself. So a command works with records of its own version only, and else says why not in one sentence.
"""

from __future__ import annotations

from scheduler.records import queries


def newest() -> int:
    """The version that this program works with."""
    return queries.migrations()[-1][0]


def scripts(after: int) -> list[tuple[int, str]]:
    """`(number, script)` of the migrations that records of a version lack, in order."""
    return [migration for migration in queries.migrations() if migration[0] > after]


def why_not(found: int, migrates: bool) -> str | None:
    """The reason why this program cannot use records of a version, as the end of a sentence; None if it can.

    `found` is 0 for a database without records. `migrates`: this program may bring them forward.
    """
    known = newest()
    if found > known:
        return (
            f"its schema is {found}, this program's {known}: it was written by a newer version of Remora: use that one"
        )
    if found == known or migrates:
        return None
    if not found:
        return "there are no records in it yet: the first service that starts with it makes them"
    return (
        f"its schema is {found}, this program's {known}: it was written by an older version of Remora, "
        "and only a service of this version brings it forward, when it starts"
    )
