"""What tasks can and cannot do in a container. Each test has an instance of its own, of one agent."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from scheduler.agent.pools import instance_factory
from scheduler.agent.slots import slots
from scheduler.model.wire import AttemptReport, Outcome
from scheduler.providers import InstanceError, InstanceSpec
from scheduler.providers.containerd import instance
from scheduler.providers.containerd.client import ContainerdClient
from scheduler.providers.containerd.provider import ContainerdProvider
from tests.support.nodes.agent_rig import Rig, rig
from tests.support.nodes.caps import of_memory, out_of_disk, out_of_memory
from tests.support.nodes.containers import CONTAINERD, needs_containers, owner_of
from tests.support.nodes.traces import assert_traces, traces

pytestmark = [needs_containers, pytest.mark.asyncio(loop_scope="module")]

MEBIBYTE = 1 << 20
NO_MEMORY = ("UserTaskError", out_of_memory(128, 256))
NO_DISK = ("UserTaskError", out_of_disk(2, 4))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def agent(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    async with rig(tmp_path_factory.mktemp("containers") / "state", isolation=CONTAINERD) as running:
        yield running


async def run(agent: Rig, script: str, data: bytes = b"", **changes: object) -> AttemptReport:
    """One task in an instance that is gone afterwards."""
    spec, task = agent.spec(script, **changes), agent.map_task(data)
    agent.grant(spec, task)
    report = await agent.report_of(task)
    agent.release(spec)
    return report


async def says(agent: Rig, script: str, data: bytes = b"", **changes: object) -> str:
    report = await run(agent, script, data, **changes)
    assert report.outcome is Outcome.OK, report
    return agent.output(report).decode().strip()


def failure(report: AttemptReport) -> tuple[str | None, str | None]:
    return report.code, report.message


async def test_an_instance_is_made_ahead_of_others_and_then_one_of_many(agent: Rig) -> None:
    weights = "cat /sys/fs/cgroup/cpu.weight /sys/fs/cgroup/cpu/cpu.shares /sys/fs/cgroup/cpu,cpuacct/cpu.shares"
    assert (await says(agent, f"{weights} 2>/dev/null; :")).split()[0] in ("100", "1024")


# -- caps --------------------------------------------------------------------------------------


def allocate(mebibytes: int) -> str:
    return f"perl -e '$x = \"a\" x ({mebibytes} << 20); print length $x'"


async def test_a_task_just_under_its_memory_is_left_alone(agent: Rig) -> None:
    assert await says(agent, allocate(50), memory_mb=128) == str(50 * MEBIBYTE)


async def test_a_task_over_its_memory_is_killed_and_told_why(agent: Rig) -> None:
    assert failure(await run(agent, allocate(150), memory_mb=128)) == NO_MEMORY


async def test_memory_is_named_even_if_the_script_hides_it(agent: Rig) -> None:
    report = await run(agent, f"{allocate(150)} | cat; exit 3", memory_mb=128)
    assert (
        failure(report)[1]
        == f"user command exited with code 3 (WARNING: ran out of memory during execution){of_memory(128, 256)}"
    )


async def test_shared_memory_counts_as_memory_and_is_small(agent: Rig) -> None:
    assert "No space left" in await says(agent, "head -c 100M /dev/zero 2>&1 > /dev/shm/x; true", memory_mb=256)


async def test_a_task_that_fills_its_disk_is_told_why(agent: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instance_factory, "GIGABYTE", 16 * MEBIBYTE)
    script = "i=0; while head -c 9M /dev/zero > /var/tmp/$i; do i=$((i+1)); done; exit 1"
    assert failure(await run(agent, script, disk_gb=2)) == NO_DISK


async def test_what_a_task_prints_counts_as_disk(agent: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instance_factory, "GIGABYTE", 16 * MEBIBYTE)
    assert (
        failure(await run(agent, "head -c 20M /dev/zero > x; head -c 20M /dev/zero; sleep 1000", disk_gb=2)) == NO_DISK
    )


async def test_a_container_that_cannot_be_removed_disables_its_slot_until_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: ContainerdClient, name: str) -> None:
        raise InstanceError(f"{name} is busy")

    async with rig(tmp_path / "state", isolation=CONTAINERD) as agent:
        monkeypatch.setattr(slots, "ENDING_SECONDS", 0.05)
        monkeypatch.setattr(instance, "REMOVE_PAUSE", 0.05)
        with monkeypatch.context() as patch:
            patch.setattr(ContainerdClient, "remove", refuse)
            await run(agent, "true")
            await agent.until(lambda supervisor: supervisor.states[-1].disabled == 1)
            assert len(agent.instances()) == 1
        await agent.until(lambda supervisor: supervisor.states[-1].disabled == 0)
        assert agent.instances() == []


@pytest.mark.parametrize("lost", ["runc/remora", "state/io.containerd.runtime.v2.task/remora"])
async def test_a_container_of_which_nothing_is_known_any_more_is_removed(tmp_path: Path, lost: str) -> None:
    """What the runtime keeps of a container, and what containerd keeps, are files below `/run`."""
    async with rig(tmp_path / "state", isolation=CONTAINERD) as agent:
        before = traces(agent.state_dir)
        spec, task = agent.spec("true"), agent.map_task(b"")
        agent.grant(spec, task)
        await agent.report_of(task)
        (known,) = Path("/run/remora", owner_of(agent.state_dir), lost).iterdir()
        shutil.rmtree(known)
        agent.release(spec)
        await asyncio.to_thread(assert_traces, agent.state_dir, before)
        assert await says(agent, "echo the next one") == "the next one"  # of the same name


async def test_what_another_agent_left_and_cannot_be_removed_keeps_no_agent_from_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, remove = InstanceSpec(128 * MEBIBYTE, 32 * MEBIBYTE, pool="a pool"), ContainerdClient.remove
    dead = ContainerdProvider(tmp_path)
    await dead.prepare()
    old = await dead.create(spec)
    old.channel.close()
    old.listener.close()
    old.group.close()
    os.close(old.pidfd)
    await dead._daemon.close()  # type: ignore[union-attr]

    def refuse(client: ContainerdClient, name: str) -> None:
        if name == old.draft.name:
            raise InstanceError(f"{name} is busy")
        remove(client, name)

    with monkeypatch.context() as patch:
        patch.setattr(ContainerdClient, "remove", refuse)
        living = ContainerdProvider(tmp_path)
        await living.prepare()
    try:
        new = await living.create(spec)
        assert old.number != new.number
        await new.destroy()
    finally:
        await living.close()
    assert await asyncio.to_thread(traces, tmp_path) == {}


async def test_an_instance_gets_no_more_of_the_processors_for_having_many_processes(agent: Rig) -> None:
    # Both spin until one moment: what else the machine does then takes from both, and the shares still compare.
    spin = f"perl -MTime::HiRes=time -e '1 while time < {time.time() + 3}'"
    many, one = agent.spec(f"for i in $(seq 16); do {spin} & done; wait"), agent.spec(spin)
    tasks = []
    for spec in (many, one):
        tasks.append(agent.map_task(b""))
        agent.grant(spec, tasks[-1])
    greedy, modest = (cpu_share(report) for report in await agent.reports_of(*tasks))
    agent.release(many)
    agent.release(one)
    assert modest > greedy / 3


def cpu_share(report: AttemptReport) -> float:
    """Return the CPU time that the attempt used in each second of its own, in seconds."""
    return (report.usage.user_us + report.usage.sys_us) / report.usage.wall_us


async def test_a_fork_bomb_ends_with_its_task(agent: Rig) -> None:
    await run(agent, "b() { b | b & }; b; sleep 2; exit 0", memory_mb=256)
    assert await says(agent, "echo still here") == "still here"


async def test_a_tree_of_daemons_ends_with_its_task(agent: Rig) -> None:
    many = "for i in $(seq 300); do setsid sleep 1000 & done; until [ $(count) -ge 300 ]; do :; done"
    spec = agent.spec(f"count() {{ ps -e | grep -c sleep; }}; read n; if [ $n = 1 ]; then {many}; fi; count")
    first, second = agent.map_task(b"1\n"), agent.map_task(b"2\n")
    agent.grant(spec, first, second)
    one, two = await agent.reports_of(first, second)
    agent.release(spec)
    assert agent.output(one) == b"300\n"
    assert agent.output(two) == b"0\n"


# -- what is not a task's ------------------------------------------------------------------------


async def test_tasks_are_root_of_nothing(agent: Rig) -> None:
    seen = await says(agent, "id -u; cat /proc/self/uid_map; grep -E '^(CapBnd|NoNewPrivs|Seccomp):' /proc/self/status")
    user, mapping, bound, gains, seccomp = (line.split() for line in seen.splitlines())
    assert user == ["0"]
    assert int(mapping[1]) >= 0x60000000
    assert (int(bound[1], 16), gains[1], seccomp[1]) == (0xFB, "1", "2")


async def test_the_lackey_is_process_1_and_cannot_be_touched(agent: Rig) -> None:
    script = (
        "cat /proc/1/comm; kill -9 1; kill -STOP 1; readlink /proc/1/fd/*; cat /proc/1/environ; cat /proc/1/mem; true"
    )
    report = await run(agent, f"({script}) 2>/dev/null")
    assert agent.output(report) == b"lackey\n"


async def test_killing_all_processes_harms_nobody_else(agent: Rig) -> None:
    assert failure(await run(agent, "kill -9 -1"))[1] == "user command exited with code 1"  # there was nobody else


async def test_the_input_is_there_and_cannot_be_changed(agent: Rig) -> None:
    script = """
        cat "$MANTA_INPUT_FILE"
        (echo bad > "$MANTA_INPUT_FILE"; rm -f "$MANTA_INPUT_FILE"; chmod 777 "$MANTA_INPUT_FILE"; touch /manta/x
         echo bad > /proc/self/fd/0; mount -o remount,rw /manta; umount /manta) 2>/dev/null
        cat "$MANTA_INPUT_FILE"
    """
    assert await says(agent, script, b"good\n") == "good\ngood"


FORBIDDEN = {
    "mount": "mount -t tmpfs none /mnt",
    "bind": "mount --bind / /mnt",
    "namespace": "unshare --user true",
    "chroot": "chroot / true",
    "device": "mknod /tmp/sda b 8 0",
    "kernel log": "dmesg",
    "kernel setting": "echo 1 > /proc/sys/kernel/printk",
    "trigger": "echo b > /proc/sysrq-trigger",
    "host name": "hostname elsewhere",
    "raw socket": "perl -MSocket -e 'socket(my $s, AF_INET, SOCK_RAW, 1) or exit 1'",
    "packet socket": "perl -e 'socket(my $s, 17, 3, 0) or exit 1'",
    "vsock": "perl -e 'socket(my $s, 40, 1, 0) or exit 1'",
    "ptrace": "perl -e 'exit(syscall(101, 0, 0, 0, 0) < 0)'",
    "bpf": "perl -e 'exit(syscall(321, 0, 0, 0) < 0)'",
    "keys": "perl -e 'exit(syscall(250, 0, -3, 1) < 0)'",
    "io_uring": "perl -e 'exit(syscall(425, 1, 0) < 0)'",
    "tools": "touch /.remora/bin/mpipe",
    "sockets": "rm -f /.remora/agent.sock",
}


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the numbers of system calls are another machine's")
async def test_the_kernel_refuses_what_tasks_have_no_business_with(agent: Rig) -> None:
    script = "".join(f"({command}) > /dev/null 2>&1 && echo '{name}'\n" for name, command in FORBIDDEN.items())
    assert await says(agent, f"{script}true") == ""


async def test_no_device_of_the_machine_is_there(agent: Rig) -> None:
    seen = set((await says(agent, "find /dev -type b; ls /dev")).split())
    assert seen == set("fd full null ptmx pts random shm stderr stdin stdout tty urandom zero".split())


async def test_nothing_of_other_instances_is_seen(agent: Rig) -> None:
    spec, other = agent.spec("echo secret > /tmp/secret; sleep 1000"), agent.map_task(b"")
    agent.grant(spec, other)
    state = str(agent.state_dir)
    script = f"ls -A /tmp; ls {state} {state}/instances; ls -d /run/remora; ps -e | grep -c sleep"
    assert await says(agent, f"({script}) 2>/dev/null; true") == "0"
    agent.release(spec)


async def test_a_setuid_program_of_its_own_gives_a_task_nothing(agent: Rig) -> None:
    script = "cp /usr/bin/id /tmp/id; chown 1000 /tmp/id; chmod 4755 /tmp/id; /tmp/id -u"
    assert await says(agent, script) == "0"


async def test_links_that_a_task_plants_lead_the_agent_nowhere(agent: Rig) -> None:
    script = """
        rm -rf /assets; ln -s /etc /assets; ln -s /etc/passwd /core; ln -s /etc/passwd /.core.1
        ln -s / /tmp/away; cd /tmp/away; ulimit -c unlimited; sh -c 'kill -SEGV $$'; sleep 100
    """
    report = await run(agent, script)
    assert report.message == "user command or child process dumped core"
    assert report.core is None or not re.search(rb"root:", agent.read(report.core.blob)[:4096])


async def test_an_object_whose_name_is_long_is_still_there(agent: Rig) -> None:
    name = f"/jill/stor/{'d' * 300}/{'f' * 300}"
    spec, task = agent.spec('cat "$MANTA_INPUT_FILE"'), agent.map_task(b"data", name)
    agent.grant(spec, task)
    assert agent.output(await agent.report_of(task)) == b"data"
    agent.release(spec)


async def test_a_range_of_images_that_nothing_is_in_fails_the_task_as_documented(agent: Rig) -> None:
    assert failure(await run(agent, "true", image=">=99")) == (
        "InvalidArgumentError",
        "failed to dispatch task: requested image is not available",
    )
