"""Random ids: their form, and that no two are equal, in a child process either."""

from __future__ import annotations

import os
import uuid

import pytest

from scheduler.common.ids import DRAWN, new_blob_id, new_id


@pytest.mark.parametrize("new", [new_id, new_blob_id])
def test_an_id_is_a_random_uuid(new) -> None:
    found = [new() for _ in range(3 * DRAWN)]
    assert len(set(found)) == len(found)
    for each in found:
        assert str(uuid.UUID(each)) == each
        assert (uuid.UUID(each).version, uuid.UUID(each).variant) == (4, uuid.RFC_4122)
    assert {each[19] for each in found} == set("89ab")


def test_ids_of_blobs_that_are_made_together_lie_together() -> None:
    found = [new_blob_id() for _ in range(4 * DRAWN)]
    beginnings = [each[:6] for each in found]
    turns = [at for at in range(1, len(found)) if beginnings[at] != beginnings[at - 1]]
    assert 3 <= len(turns) <= 4
    assert len({beginnings[at] for at in turns}) == len(turns)
    assert len({each[6:8] for each in found}) > 100  # and no more of them is alike
    assert len({new_id()[:6] for _ in range(DRAWN)}) > DRAWN / 2


@pytest.mark.parametrize("new", [new_id, new_blob_id])
def test_a_child_process_draws_its_own(new) -> None:
    new()
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.write(writing, new().encode())
        os._exit(0)
    os.waitpid(child, 0)
    theirs = os.read(reading, 36).decode()
    os.close(reading)
    os.close(writing)
    assert theirs not in {new() for _ in range(DRAWN)}
