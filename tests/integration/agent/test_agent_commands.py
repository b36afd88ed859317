"""The project's own commands inside of tasks: no keys, nothing of the machine's homes, nothing in the environment."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from scheduler.model.wire import Outcome
from scheduler.providers.programs import NOT_TOOLS, OURS, installed, libraries
from tests.support.machine import needs_namespaces
from tests.support.nodes.agent_rig import ANY_ISOLATION, Rig, rig

# Those for people: mkey is only for msplit.
COMMANDS = sorted(e.name for e in installed().entry_points if e.name not in NOT_TOOLS and e.value.startswith("cli."))


@pytest_asyncio.fixture(params=ANY_ISOLATION)
async def agent(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    async with rig(tmp_path / "state", isolation=request.param) as running:
        yield running


async def said(agent: Rig, script: str) -> list[str]:
    """What a task printed; it must have ended well."""
    report = await agent.run(script)
    stderr = agent.read(report.stderr.blob) if report.stderr else b""
    assert report.outcome is Outcome.OK, stderr.decode()
    return agent.output(report).decode().splitlines()


async def test_objects_are_read_and_written_without_a_key(agent: Rig) -> None:
    agent.supervisor.objects["/jill/stor/ä b"] = b"contents\n"
    assert await said(agent, "mget -q ~~/stor/'ä b'; echo new | mput -q ~~/stor/ö") == ["contents"]
    assert agent.supervisor.objects["/jill/stor/ö"] == b"new\n"


async def test_every_command_starts(agent: Rig) -> None:
    versions = await said(agent, f"for c in {' '.join(COMMANDS)}; do $c --version > out || exit 1; head -1 out; done")
    assert len(versions) == len(COMMANDS)
    assert "mls" in COMMANDS and "mjob" in COMMANDS


async def test_nothing_of_them_is_in_the_environment_of_the_task(agent: Rig) -> None:
    assert await said(agent, "env | grep -c '^PYTHON\\|^LD_\\|packages'; true") == ["0"]


async def test_nothing_in_the_environment_of_the_task_gets_at_them(agent: Rig) -> None:
    agent.supervisor.objects["/jill/stor/a"] = b"contents\n"
    traps = "mkdir trap; for m in click httpx json cli os; do echo 'raise SystemExit(9)' > trap/$m.py; done"
    script = f"{traps}; export PYTHONPATH=$PWD/trap PYTHONHOME=/nowhere PYTHONSTARTUP=$PWD/trap/os.py; cd trap"
    assert await said(agent, f"{script}; mget -q ~~/stor/a") == ["contents"]


@needs_namespaces
async def test_a_task_cannot_change_them_and_sees_only_them(tmp_path: Path) -> None:
    script = """
        cd /.remora
        for file in bin/mls bin/mpipe packages/own/cli/main.py python/bin/python3 python/lib/*/os.py; do
            { echo bad >> $file; rm -f $file; } 2> /dev/null; [ -s $file ] && ! grep -qxa bad $file && echo kept
        done
        ls packages/own /home /root
    """
    async with rig(tmp_path / "state", "namespaces") as agent:
        seen = await said(agent, script)
    assert seen == ["kept"] * 5 + ["/home:", "", "/root:", "", "packages/own:", *sorted(OURS)]


def test_what_the_loader_mapped_is_found_and_extensions_of_python_are_not() -> None:
    found = [str(path) for path in libraries()]
    assert any(Path(path).name.startswith("libc") for path in found)
    assert not [path for path in found if "site-packages" in path or "lib-dynload" in path]
