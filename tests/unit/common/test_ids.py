"""Random ids: their form, and that no two are equal, in a child process either."""

from __future__ import annotations

import os
import uuid

from scheduler.common.ids import DRAWN, new_id


def test_an_id_is_a_random_uuid() -> None:
    found = [new_id() for _ in range(3 * DRAWN)]
    assert len(set(found)) == len(found)
    for each in found:
        assert str(uuid.UUID(each)) == each
        assert (uuid.UUID(each).version, uuid.UUID(each).variant) == (4, uuid.RFC_4122)
    assert {each[19] for each in found} == set("89ab")


def test_a_child_process_draws_its_own() -> None:
    new_id()
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.write(writing, new_id().encode())
        os._exit(0)
    os.waitpid(child, 0)
    theirs = os.read(reading, 36).decode()
    os.close(reading)
    os.close(writing)
    assert theirs not in {new_id() for _ in range(DRAWN)}
