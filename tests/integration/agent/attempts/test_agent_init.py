"""Init scripts and assets: what a phase does in an instance before its first task."""

from __future__ import annotations

import asyncio

import pytest

from scheduler.model.wire import Asset
from tests.support.machine import ONE_USER
from tests.support.nodes.agent_rig import KNOCK, Rig
from tests.support.nodes.lackey_instance import needs_core_files


async def test_init_runs_once_before_the_first_task_with_the_assets(agent: Rig) -> None:
    asset = Asset(name="/jill/stor/tool.sh", blob=agent.blob(b"#!/bin/sh\necho from the asset\n"))
    init = 'echo x >> inits; echo lost; env | grep -c "MANTA_INPUT\\|mc_input" > count; true'
    tasks = [agent.map_task(b"1"), agent.map_task(b"2")]
    spec = agent.spec("assets/jill/stor/tool.sh; cat inits count", init=init, assets=[asset])
    agent.grant(spec, *tasks)
    for report in await agent.reports_of(*tasks):
        assert agent.output(report) == b"from the asset\nx\n0\n"


async def test_a_failed_init_fails_the_first_task_with_the_reason_and_the_others_with_a_reference(agent: Rig) -> None:
    tasks = [agent.map_task(b""), agent.map_task(b"")]
    spec = agent.spec("true", init="echo cannot >&2; exit 4")
    agent.grant(spec, *tasks)
    first, second = await agent.reports_of(*tasks)
    assert (first.code, first.message) == ("TaskInitError", "user command exited with code 4")
    assert agent.read(first.stderr.blob) == b"cannot\n"
    assert first.outputs == []
    expected = "task aborted because a previous task failed to initialize (see other errors for details)"
    assert (second.code, second.message) == ("TaskInitError", expected)
    late = agent.map_task(b"")
    agent.grant(spec, late)
    assert (await agent.report_of(late)).message == expected


async def test_a_pool_that_cannot_start_gives_its_reason_to_every_task(agent: Rig) -> None:
    reason = 'failed to dispatch task: first of 1 error: error retrieving asset "/jill/stor/x" (status code 404)'
    tasks = [agent.map_task(b""), agent.map_task(b"")]
    agent.grant(agent.spec("true", init_error=reason), *tasks)
    assert {(report.code, report.message) for report in await agent.reports_of(*tasks)} == {("TaskInitError", reason)}
    assert agent.instances() == []


async def test_assets_are_private_copies_of_the_instance(agent: Rig) -> None:
    precious = agent.blob(b"precious\n")
    script = "cd assets/jill/stor; cat tool; echo changed > tool; chmod a-x tool; rm -f tool; echo x > beside; ls"
    spec = agent.spec(f"{KNOCK}; {script}", assets=[Asset(name="/jill/stor/tool", blob=precious)])
    tasks = [agent.map_task(b""), agent.map_task(b"")]
    agent.supervisor.held = asyncio.Event()
    agent.grant(spec, *tasks, instances=2)
    await agent.until(lambda supervisor: supervisor.pending == 2)  # each in an instance of its own
    agent.supervisor.held.set()
    for report in await agent.reports_of(*tasks):
        assert agent.output(report) == b"precious\nbeside\n", report
    assert agent.read(precious) == b"precious\n"


@pytest.mark.parametrize(
    "name", ["with space", "line\nbreak", "ümlaut-✓", "quo'te\"s", "*?[$x]", "x" * 255, "ü" * 200, "-n"]
)
async def test_assets_may_have_any_name(agent: Rig, name: str) -> None:
    asset = Asset(name=f"/jill/stor/{name}", blob=agent.blob(b"contents"))
    script = 'cd assets/jill/stor; for f in ./*; do [ -x "$f" ] && stat -c %a "$f" && cat "$f"; done'
    report = await agent.run(script, assets=[asset])
    assert agent.output(report) == b"777\ncontents"


async def test_an_asset_that_is_gone_is_named_and_one_that_is_empty_is_none_the_less_there(agent: Rig) -> None:
    gone = agent.blob(b"gone")
    agent.blobs.discard([gone.id])
    assets = [Asset(name="/jill/stor/empty", blob=agent.blob(b"")), Asset(name="/jill/stor/gone", blob=gone)]
    report = await agent.run("true", assets=assets)
    reason = 'error retrieving asset "/jill/stor/gone" (status code 404)'
    assert (report.code, report.message) == ("TaskInitError", f"failed to dispatch task: first of 1 error: {reason}")
    assert agent.output(await agent.run("wc -c < assets/jill/stor/empty", assets=assets[:1])).strip() == b"0"


async def test_an_asset_that_is_deleted_meanwhile_is_still_there_for_the_next_instance(agent: Rig) -> None:
    asset = Asset(name="/jill/stor/tool", blob=agent.blob(b"contents"))
    spec = agent.spec(f"cat assets/jill/stor/tool; {KNOCK}; rm assets/jill/stor/tool; sleep 1000", assets=[asset])
    first, second = agent.map_task(b""), agent.map_task(b"")
    agent.grant(spec, first)
    await agent.until(lambda supervisor: len(supervisor.requests) == 1)
    agent.blobs.discard([asset.blob.id])
    agent.grant(spec, second, instances=2)
    await agent.until(lambda supervisor: len(supervisor.requests) == 2)
    agent.cancel(first)
    agent.cancel(second)


async def test_the_environment_of_init_is_that_of_all_tasks_and_nothing_more(agent: Rig) -> None:
    init = "env > seen; cat >> seen; wc -c < /dev/stdin >> seen"
    report = await agent.run("grep -v '^PWD=\\|^SHLVL=\\|^_=' seen | cut -d= -f1 | sort", b"x", init=init)
    common = ["DTRACE_DOF_INIT_DISABLE", "HOME", "MANTA_JOB_ID", "MANTA_NO_AUTH", "MANTA_OUTPUT_BASE", "MANTA_URL"]
    shared = [] if agent.isolated else ["REMORA_SOCKET", "TMPDIR"]
    shared += ["TAR_OPTIONS"] if not agent.isolated or ONE_USER else []
    assert agent.output(report).decode().split() == sorted(["0", *common, "MANTA_USER", "PATH", "SHELL", *shared])


@needs_core_files
async def test_a_core_of_init_belongs_to_the_task_that_it_ran_for(agent: Rig) -> None:
    report = await agent.run("true", init="echo why >&2; sh -c 'kill -SEGV $$'; sleep 100")
    assert (report.code, report.message) == ("TaskInitError", "user command or child process dumped core")
    assert agent.read(report.core.blob)[:4] == b"\x7fELF"
    assert agent.read(report.stderr.blob).startswith(b"why\n")
    assert report.outputs == []
