"""Users of an instance besides root: what belongs to them, for root's service and for that of an ordinary user."""

from __future__ import annotations

import os
import shlex
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from scheduler.agent.pools import instance_factory
from scheduler.agent.pools.caps import disk_count
from scheduler.common import child
from scheduler.providers import process
from scheduler.providers.linux.subordinate_users import make
from scheduler.providers.linux.user_ranges import FIRST_USER
from scheduler.providers.process import ProcessProvider
from tests.support.machine import needs_core_files, needs_users
from tests.support.nodes.agent_rig import KNOCK, Rig, rig

pytestmark = needs_users
MEGABYTE = 1 << 20
MOST = 200  # processes
# A function of the shell: `as_user N COMMAND` is bash as user and group N.
AS_USER = """as_user() { perl -e '$( = $) = "$ARGV[0] $ARGV[0]"; $< = $> = shift; exec "bash", "-c", @ARGV' "$@"; }\n"""
# How many processes there can be more; they end with the task.
MORE = r'while (defined($pid = fork)) { $pid or sleep 1000; last if ++$n == 1000 } print $n + 0, "\n"'


def in_closed_home(command: str) -> str:
    """A user's command in a home that is closed to all others."""
    return (
        f"{AS_USER}mkdir /home/jill && chown 1000:1000 /home/jill && as_user 1000 'umask 077; cd /home/jill; {command}'"
    )


@pytest_asyncio.fixture
async def agent(tmp_path: Path) -> AsyncIterator[Rig]:
    """At its end nothing may be left of its instances."""
    async with rig(tmp_path / "state", "namespaces") as running:
        yield running


@pytest_asyncio.fixture
async def without_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Rig]:
    monkeypatch.setattr(process, "MAX_PROCESSES", MOST)
    async with rig(tmp_path / "state", "namespaces", groups=False) as running:
        yield running


async def printed(agent: Rig, script: str, **changes: object) -> list[str]:
    report = await agent.run(script, **changes)
    assert report.code is None, agent.read(report.stderr.blob) if report.stderr else report.message
    return agent.output(report).decode().splitlines()


async def test_an_archive_of_others_is_unpacked_with_its_owners(agent: Rig) -> None:
    script = """
    mkdir made; echo x > made/file; chown 1000:50 made; chown 65534:65535 made/file; chmod 4750 made/file
    tar cf a.tar made; rm -r made; tar xpf a.tar; stat -c '%n %u:%g %a' made made/file"""
    assert await printed(agent, script) == ["made 1000:50 755", "made/file 65534:65535 4750"]


async def test_a_copy_keeps_the_owner(agent: Rig) -> None:
    script = "touch a; chown 33:33 a; cp -a a b; stat -c %u:%g b; cp -a /etc/hostname c; stat -c %h c"
    assert await printed(agent, script) == ["33:33", "1"]


async def test_a_process_can_be_another_user_who_uses_the_service_too(agent: Rig) -> None:
    agent.supervisor.objects["/jill/stor/here"] = b"text"
    script = f'KNOCK={shlex.quote(KNOCK)}\n{AS_USER}as_user 1000 "{{ id -u; id -G; cat; $KNOCK; }} | mpipe"'
    report = await agent.run(script, b"input\n")
    assert (report.code, agent.output(report)) == (None, b"1000\n1000\ninput\n")
    assert [request[1] for request in agent.supervisor.requests] == ["/jill/stor/here"]


async def test_tasks_have_none_of_the_groups_of_who_runs_the_service(agent: Rig) -> None:
    assert await printed(agent, "id -G") == ["0"]


async def test_what_another_user_has_closed_is_removed_with_the_instance(agent: Rig) -> None:
    await printed(agent, in_closed_home("mkdir -p a/b; touch a/b/c; chmod 0 a"))


async def test_what_an_agent_left_that_was_killed_is_removed_by_the_next(tmp_path: Path) -> None:
    left = tmp_path / "instances" / "7" / "root"
    (left / "closed").mkdir(parents=True)
    (left / "closed" / "file").touch()
    give(left / "closed", 1000)
    provider = ProcessProvider(tmp_path, "namespaces")
    await provider.prepare()
    await provider.close()
    assert list((tmp_path / "instances").iterdir()) == []


def give(directory: Path, user: int) -> None:
    """Make a directory one of another user of an instance, who has closed it."""
    directory.chmod(0o700)
    if os.geteuid() == 0:
        os.chown(directory, FIRST_USER + user, FIRST_USER + user)
        return
    users = make()
    child.run(users.command("chown", f"{user}:{user}", directory), pass_fds=[users.namespace], check=True)
    users.close()


async def test_a_file_in_a_directory_that_another_user_has_closed_counts(
    agent: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(instance_factory, "GIGABYTE", MEGABYTE)
    monkeypatch.setattr(disk_count, "COUNT_EVERY", 0.0)
    monkeypatch.setattr(disk_count, "COUNT_SHARE", 0.0)
    report = await agent.run(in_closed_home("head -c 900000 /dev/zero | tee a b > c"), disk_gb=2)
    assert report.message.startswith("user task ran out of local disk space: its cap is 2 GB")


@needs_core_files
async def test_the_core_of_another_users_process_is_kept(agent: Rig) -> None:
    report = await agent.run(AS_USER + "cd /tmp; as_user 1000 'ulimit -c unlimited; kill -SEGV $$'")
    assert report.core is not None
    assert agent.read(report.core.blob)[:4] == b"\x7fELF"


@pytest.mark.skipif(os.geteuid() == 0, reason="a limit that root sets is not one on all users of an instance")
async def test_all_users_of_an_instance_together_have_no_more_processes_than_it_may_have(without_groups: Rig) -> None:
    script = AS_USER + "for user in 1 2 3; do as_user $user 'perl /tmp/more'; done"
    script = f"echo {shlex.quote(MORE)} > /tmp/more\n{script}"
    assert 0 < sum(map(int, await printed(without_groups, script))) < MOST
