"""Each of the twelve statuses of an operation is one that a user sees."""

from __future__ import annotations

from scheduler.engine.operations.status import REVIVING
from scheduler.model.job import parse_job
from scheduler.model.operations.control import ControlRequest, Verb
from scheduler.supervisor.job_services import RecordedJobService
from scheduler.supervisor.jobs.intake import JobRef
from scheduler.supervisor.jobs.status import status as job_status
from scheduler.supervisor.operations import creation, ending, steps
from tests.support.eventually import eventually
from tests.support.operations.running import operation, over, put, status
from tests.support.services.house import House

MERGE = {"type": "merge", "inputs": ["/jill/stor/in"], "output": {"path": "/jill/stor/out/"}}


async def shown(house: House, uuid: str) -> tuple[str, str]:
    found = await house.db.read(lambda c: job_status(c, c.one("job_by_uuid", uuid=uuid)))
    return found["status"], found["state"]


async def test_the_way_of_an_operation(house: House) -> None:
    """Its steps are taken here, one at a time: the supervisor does not know it."""
    await put(house, "/jill/stor/in", b"x")
    spec = parse_job(MERGE)

    live = await house.db.write(lambda c: creation.create_job(c, "jill", spec, 1, supervisor=house.supervisor.id))
    seen: list[tuple[str, str]] = []
    while not seen or seen[-1] != ("completed", "done"):
        seen.append(await shown(house, live.uuid))
        await house.db.write(lambda c: steps.take(c, live, 2))
    assert list(dict.fromkeys(seen)) == [
        ("initializing", "queued"), ("preparing", "queued"), ("pending", "queued"), ("materializing", "running"),
        ("completing", "running"), ("completed", "done"),
    ]  # fmt: skip


async def test_running_failing_failed(house: House) -> None:
    await put(house, "/jill/stor/in", b"x\n")
    uuid = await operation(house, type="map", inputs=["/jill/stor/in"], spec={"exec": "cat"})
    async with house.agent(answer=lambda spec, task: None) as agent:
        agent.confirms = False
        await eventually(lambda: agent.leases, "its task runs")
        assert await shown(house, uuid) == ("running", "running")
        live = house.live(uuid)
        changes = await house.db.write(lambda c: ending.fail(c, live, ending.Changes(), 3, "InternalError", "why"))
        house.supervisor._apply(changes)
        await eventually(lambda: agent.cancelled, "it is told to stop")
        assert await shown(house, uuid) == ("failing", "running")
    await house.supervisor.agent_service.leave(agent.id)
    await house.archived(uuid)
    assert await shown(house, uuid) == ("failed", "done")


async def test_aborting_aborted_reviving_and_what_is_asked_meanwhile(house: House) -> None:
    await put(house, "/jill/stor/in", b"x\n")
    uuids = [await operation(house, type="map", inputs=["/jill/stor/in"], spec={"exec": "cat"}) for _ in range(2)]
    async with house.agent(answer=lambda spec, task: None) as agent:
        agent.confirms = False
        await eventually(lambda: len(agent.leases) == 2, "both run")
        await house.supervisor.control(house.live(uuids[0]), ControlRequest(verb=Verb.ABORT))
        assert await shown(house, uuids[0]) == ("aborting", "running")
        job = JobRef(house.live(uuids[1]).id, uuids[1])
    await house.supervisor.stop()
    assert await shown(house, uuids[1]) == (REVIVING, "running")
    keys = {"title": "asked while it had no supervisor"}
    await RecordedJobService(house.db, house.clock).control(job, ControlRequest(verb=Verb.UPDATE, keys=keys))
    house.db.close()
    house.blobs.close()
    house.open()
    await house.supervisor.start()
    await house.archived(uuids[0])
    assert await shown(house, uuids[0]) == ("aborted", "done")
    await eventually(
        lambda: house.live(uuids[1]).spec.document.get("title") == keys["title"], "the next supervisor does it"
    )
    house.jobs[uuids[1]] = house.live(uuids[1])
    await over(house, uuids[1])
    assert await status(house, uuids[1]) == "completed"
