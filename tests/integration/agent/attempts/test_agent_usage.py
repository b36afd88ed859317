"""What a task took: bytes, time and memory, as its report says."""

from __future__ import annotations

from tests.support.nodes.agent_rig import Rig

EAT = "perl -e '$x = \"a\" x (%d << 20); '"
BURN = "perl -e 'while ((times)[0] < %s) {}'"


async def test_bytes_are_those_of_the_input_and_of_all_that_was_written(agent: Rig) -> None:
    tools = "head -c 1000 /dev/zero | mpipe > /dev/null; head -c 50 /dev/zero | mtee ~~/stor/t"
    report = await agent.run(f"cat; echo to stderr >&2; {tools}", b"0123456789")
    assert (report.usage.bytes_in, report.usage.bytes_out) == (10, 10 + 10 + 1000 + 50 + 50)


async def test_bytes_through_the_endpoint_are_counted(agent: Rig) -> None:
    agent.supervisor.objects["/jill/stor/a"] = b"12345678"
    script = """
        mget -q ~~/stor/a > /dev/null
        head -c 3000 /dev/zero | mput -q ~~/stor/b
    """
    report = await agent.run(script)
    assert (report.usage.bytes_in, report.usage.bytes_out) == (8, 3000)


async def test_time_is_that_of_all_processes(agent: Rig) -> None:
    report = await agent.run(f"{BURN % 0.1} & {BURN % 0.1}; wait")
    used = report.usage
    assert used.user_us + used.sys_us >= 200_000
    assert used.wall_us >= 100_000


async def test_memory_is_that_of_the_largest_process_at_least(agent: Rig) -> None:
    used = (await agent.run(EAT % 64)).usage
    assert 64 << 10 <= used.max_rss_kb < 200 << 10


async def test_the_first_task_is_charged_with_init_and_the_next_is_not(agent: Rig) -> None:
    agent.supervisor.objects["/jill/stor/a"] = b"12345678"
    tasks = [agent.map_task(b"1"), agent.map_task(b"22")]
    spec = agent.spec("cat", init=f"{EAT % 64}; {BURN % 0.2}; mget -q ~~/stor/a; echo in init >&2")
    agent.grant(spec, *tasks)
    first, second = [report.usage for report in await agent.reports_of(*tasks)]
    assert first.user_us + first.sys_us >= 200_000 > second.user_us + second.sys_us
    assert first.max_rss_kb >= 64 << 10 > second.max_rss_kb
    assert (first.bytes_in, first.bytes_out) == (8 + 1, 8 + 1)
    assert (second.bytes_in, second.bytes_out) == (2, 2)


async def test_an_init_that_fails_is_charged_to_the_task_that_is_told(agent: Rig) -> None:
    used = (await agent.run("true", b"input", init=f"{BURN % 0.1}; exit 1")).usage
    assert used.user_us + used.sys_us >= 100_000
    assert used.bytes_in == 0
