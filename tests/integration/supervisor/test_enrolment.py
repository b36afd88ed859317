"""A node's name belongs to one agent at a time, and the records know when it was heard."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from scheduler.model.errors import WireError
from scheduler.model.wire import RegisterRequest
from scheduler.records.database import Connection, Database, open_database
from scheduler.supervisor import membership
from scheduler.supervisor.agents import enrolment
from tests.support.services.records import database_at


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    opened = open_database(database_at(tmp_path / "db"))
    yield opened
    opened.close()


def request(store: str, node: str = "n1") -> RegisterRequest:
    return RegisterRequest(
        node=node, slots=1, memory_mb=1024, provider="none", serves=f"http://{node}:1", tickets=store
    )


def without_listening(store: str | None, node: str = "n1") -> RegisterRequest:
    return RegisterRequest(node=node, slots=1, memory_mb=1024, provider="none", store=store)


def silent_for(seconds: float):
    return lambda c: c.run("hear_nodes", nodes='["n1"]', now=c.now() - int(1000 * seconds), before=1 << 60)


async def test_a_second_agent_of_the_same_name_is_refused_while_the_first_is_heard(db: Database) -> None:
    await db.write(lambda c: enrolment.enrol(c, request("a")))
    with pytest.raises(WireError) as refused:
        await db.write(lambda c: enrolment.enrol(c, request("b")))
    assert refused.value.status == 409
    assert "node n1 has an agent with another store, which was heard 0 s ago: two agents have this name" in str(
        refused.value
    )
    assert await db.read(lambda c: c.one("find_node", name="n1")["store"]) == enrolment.store_of(request("a"))
    await db.write(lambda c: enrolment.enrol(c, request("a")))  # restarted
    await db.write(lambda c: enrolment.enrol(c, request("b", node="n2")))


async def test_agents_that_serve_nothing_are_told_apart_too(db: Database) -> None:
    await db.write(lambda c: enrolment.enrol(c, without_listening("a")))
    for other in (without_listening("b"), request("b"), without_listening(None)):
        with pytest.raises(WireError, match="two agents have this name"):
            await db.write(lambda c, other=other: enrolment.enrol(c, other))
    await db.write(lambda c: enrolment.enrol(c, without_listening("a")))


async def test_an_agent_of_an_earlier_release_is_followed_by_a_later_one_at_once(db: Database) -> None:
    served = request("key")
    for before, after in ((without_listening(None), without_listening("a")), (served, request("key"))):
        await db.write(lambda c: c.run("node_departs", node="n1"))
        await db.write(lambda c, before=before: enrolment.enrol(c, before))
        named = after.model_copy(update={"store": enrolment.store_of(after)})
        await db.write(lambda c, named=named: enrolment.enrol(c, named))


@pytest.mark.parametrize("free", [silent_for(11), lambda c: c.run("node_departs", node="n1")])
async def test_its_name_is_free_once_it_has_ended_in_order_or_its_lease_is_over(db: Database, free) -> None:
    await db.write(lambda c: enrolment.enrol(c, request("a")))
    await db.write(free)
    await db.write(lambda c: enrolment.enrol(c, request("b")))
    with pytest.raises(WireError):
        await db.write(lambda c: enrolment.enrol(c, request("a")))


async def test_beats_say_which_agents_are_heard_and_seldom_write_it(db: Database) -> None:
    def seen(c: Connection) -> int:
        return int(c.one("find_node", name="n1")["seen"])

    await db.write(lambda c: enrolment.enrol(c, request("a")))
    await db.write(silent_for(60))
    supervisor, pulse = await db.write(lambda c: membership.join(c, "http://s", alone=False))
    before = await db.read(seen)
    await db.write(lambda c: membership.beat(c, supervisor, pulse, ["n2"]))
    assert await db.read(seen) == before
    await db.write(lambda c: membership.beat(c, supervisor, pulse, ["n1"]))
    after = await db.read(seen)
    assert after > before + 59_000
    await db.write(lambda c: membership.beat(c, supervisor, pulse, ["n1"]))
    assert await db.read(seen) == after
