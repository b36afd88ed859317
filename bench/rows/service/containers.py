"""The costs of containers compared with processes: to create one, to end it, to keep it, and for
each task.

A container is expensive to create and must cost nothing afterwards. So its creation and its end are
shown beside those of a process, without a bar; a task in a warm container is compared with a loop
that only forks; a job of many tasks with the same job in instances that are processes; and for an
idle container the row shows the memory that its control group is charged for, and that of its shim,
which containerd keeps.

A job's first task must not wait for its container: a warm service has some at hand. That line is the
time from the lease of a job's only task to its start, as the service's records have it, when the
node has been idle for long enough to have prepared its containers.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import select
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from pathlib import Path
from statistics import median

from bench.measure import Bar, Line, SkippedError, Turn, interleave, seconds
from bench.peers import compiled
from bench.setting import PLAIN, Setting, described, lifetime, run_job, words
from cli.client.jobs import Jobs
from cli.client.session import Session
from datapath.passing import Kind, Slot, decode_done, encode_environment
from scheduler.providers import Instance, InstanceSpec, Provider
from scheduler.providers.choice import ProviderOptions, containers
from scheduler.providers.linux.cgroups import memory_group_of
from scheduler.providers.process import ProcessProvider
from tests.support.nodes.containers import CONTAINERD, REFUSED, lackeys, shims
from tests.support.services.objects import client, put_many
from tests.support.services.service import Service

SCRIPT = "wc"
TIER = InstanceSpec(128 << 20, 2 << 30)
KINDS = (CONTAINERD, "process")
# The memory charged to a control group, in versions 1 and 2.
CHARGED = ("memory.usage_in_bytes", "memory.current")
# Instances that an agent makes ahead by default; how long that may take, and how long the node then rests.
PREPARED, PREPARED_SECONDS, REST_SECONDS = 2, 30.0, 0.3
# Containers whose idle memory is weighed.
IDLE = 10
Step = tuple[float, float]


def lines(setting: Setting) -> Iterator[Line]:
    if REFUSED:
        raise SkippedError(REFUSED)
    with asyncio.Runner() as runner, ExitStack() as stack:
        state = setting.directory("containers")
        made = stack.enter_context(closed(runner, runner.run(containers(state, ProviderOptions("containerd")))))
        plain = stack.enter_context(closed(runner, ProcessProvider(setting.directory("processes"))))
        runner.run(plain.prepare())
        yield from births(setting, runner, made, plain)
        yield from tasks(setting, runner, made)
        yield from idle(runner, made, state)
    yield from first_tasks(setting)
    yield from jobs(setting)


@contextmanager
def closed(runner: asyncio.Runner, source: Provider) -> Iterator[Provider]:
    try:
        yield source
    finally:
        runner.run(source.close())


@contextmanager
def instances(runner: asyncio.Runner, source: Provider, count: int) -> Iterator[list[Instance]]:
    """A number of instances for the length of a block."""
    made: list[Instance] = []
    try:
        for _ in range(count):
            made.append(runner.run(source.create(TIER)))
        yield made
    finally:
        for instance in made:
            runner.run(instance.destroy())


# -- making and ending -------------------------------------------------------------------------


def births(setting: Setting, runner: asyncio.Runner, *sources: Provider) -> Iterator[Line]:
    """The lines of creating an instance, and of ending it."""
    count = setting.size(10, 2)
    ends: list[list[float]] = [[] for _ in sources]

    def turn(source: Provider, ended: list[float]) -> Turn:
        def work() -> float:
            born, gone = zip(*(runner.run(one_life(source)) for _ in range(count)), strict=True)
            ended.append(median(gone))
            return float(median(born))

        return work

    born = interleave(setting.rounds, *map(turn, sources, ends))
    for what, (ours, theirs) in (("made", born), ("ended", ends)):
        yield Line(f"an instance is {what}", "ms", ours, Bar(absolute=True), "a process", theirs)


async def one_life(source: Provider) -> Step:
    """Milliseconds to create an instance, and to end it."""
    clock = asyncio.get_running_loop().time
    started = clock()
    instance = await source.create(TIER)
    made = clock()
    await instance.destroy()
    return 1000 * (made - started), 1000 * (clock() - made)


# -- a task ------------------------------------------------------------------------------------


def tasks(setting: Setting, runner: asyncio.Runner, source: Provider) -> Iterator[Line]:
    """The line of a task in a warm container."""
    count = setting.size(1000, 50)
    place = setting.directory("container-tasks")
    (place / "input").write_bytes(words(1000))
    loop = compiled("forkloop", setting.scratch)
    command: list[str | Path] = [loop, place, SCRIPT, *[place / "input"] * count]
    with instances(runner, source, 1) as (instance,):
        environment = {name: PLAIN[name] for name in PLAIN if name != "SHELL"}  # the lackey adds it
        instance.channel.send(Kind.ENV, payload=encode_environment(environment))
        instance.channel.send(Kind.SCRIPT, flags=Slot.EXEC, payload=SCRIPT.encode())

        def ours() -> float:
            return 1000 * seconds(lambda: run_tasks(instance, place, count)) / count

        def bare() -> float:
            return 1000 * seconds(lambda: subprocess.run(command, env=PLAIN, check=True)) / count

        ours()
        warm, floor = interleave(setting.rounds, ours, bare)
    yield Line(
        f"a task in a warm container: {described(SCRIPT)}", "ms", warm, Bar(1.5, at_most=True), "a C fork loop", floor
    )


def run_tasks(instance: Instance, place: Path, count: int) -> None:
    """Run tasks one after another, each with an input and two fresh files for its outputs."""
    for number in range(1, count + 1):
        source = os.open(place / "input", os.O_RDONLY)
        printed = [os.open(place, os.O_TMPFILE | os.O_RDWR, 0o600) for _ in range(2)]
        try:
            instance.channel.send(Kind.RUN, task=number, flags=Slot.EXEC, fds=(source, *printed))
            select.select([instance.channel], [], [])
            message = instance.channel.receive()
            if message is None or message.kind != Kind.DONE or decode_done(message.payload).status:
                raise RuntimeError(f"a task in a container failed: {message}")
        finally:
            for fd in (source, *printed):
                os.close(fd)


# -- keeping -----------------------------------------------------------------------------------


def idle(runner: asyncio.Runner, source: Provider, state: Path) -> Iterator[Line]:
    # As many in a short run, too: shims share their program's pages, whose cost is divided by their number.
    with instances(runner, source, IDLE) as made:
        charged = [charged_to(instance) for instance in made]
        weights = [one + proportional(shim) for one, shim in zip(charged, shims(state), strict=True)]
    yield Line("an idle container", "MiB", weights, Bar(6, absolute=True, at_most=True))


def charged_to(instance: Instance) -> float:
    """MiB charged to the control group of an instance: those of its lackey and of the kernel for it."""
    with closing(memory_group_of(next(iter(instance.processes())))) as group:
        usage = next(group.path / name for name in CHARGED if (group.path / name).exists())
        return int(usage.read_text()) / (1 << 20)


def proportional(pid: int) -> float:
    """The proportional set size of a process in MiB: its own memory, and its part of shared memory."""
    found = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) / 1024


def of_each_kind(
    setting: Setting, turn_of: Callable[[str], AbstractContextManager[Turn]]
) -> tuple[list[float], list[float]]:
    """The figures of interleaved turns of services with either kind of instances, each warmed up by a first turn."""
    with ExitStack() as stack:
        turns = [stack.enter_context(turn_of(kind)) for kind in KINDS]
        for turn in turns:
            turn()
        contained, processed = interleave(setting.rounds, *turns)
    return contained, processed


# -- the first task of a job -------------------------------------------------------------------


def first_tasks(setting: Setting) -> Iterator[Line]:
    """The line of the wait of a job's only task, in a service whose instances are at hand."""
    count = setting.size(7, 2)
    contained, processed = of_each_kind(setting, lambda kind: first_task_of(setting, kind, count))
    what = "a job's first task waits for its container"
    yield Line(what, "ms", contained, Bar(10, absolute=True, at_most=True), "for its process", processed)


@contextmanager
def first_task_of(setting: Setting, kind: str, count: int) -> Iterator[Turn]:
    """A service with instances of one kind; yields a turn: the median ms between lease and start of a job's task."""
    service = Service(setting.directory(f"first-{kind}") / "state", ("--provider", kind)).start()
    try:
        with client(service) as session:
            calls, names = Jobs(session), put_inputs(session, 1)
            document = json.dumps({"name": "first", "phases": [{"exec": SCRIPT}]}).encode()

            def wait() -> float:
                until_prepared(service, kind)
                job, _ = run_job(calls, document, names)
                calls.wait_archived(job)
                archived = session.call("GET", f"{calls.directory(job)}/usage.json").content
                tasks = json.loads(archived)["tasks"]
                return float(tasks["rows"][0][tasks["columns"].index("fetch")])

            yield lambda: float(median(wait() for _ in range(count)))
    finally:
        service.stop()
        shutil.rmtree(service.state_dir)


def until_prepared(service: Service, kind: str) -> None:
    """Wait until the node has the instances at hand that it prepares, and none of the last job."""
    deadline = time.monotonic() + PREPARED_SECONDS
    while kind == CONTAINERD and len(lackeys(service.state_dir)) != PREPARED and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(REST_SECONDS)


# -- a job -------------------------------------------------------------------------------------


def jobs(setting: Setting) -> Iterator[Line]:
    """The line of a job of many tasks."""
    count = setting.size(10_000, 200)
    contained, processed = of_each_kind(setting, lambda kind: job_of(setting, kind, count))
    yield Line(
        f"{count:,} tasks in containers: {described(SCRIPT)}",
        "tasks/s",
        contained,
        Bar(0.85),
        "in processes",
        processed,
    )


@contextmanager
def job_of(setting: Setting, kind: str, count: int) -> Iterator[Turn]:
    """A service with instances of one kind; yields a turn that measures tasks a second of a job there."""
    service = Service(setting.directory(f"service-{kind}") / "state", ("--provider", kind)).start()
    try:
        with client(service) as session:
            names = put_inputs(session, count)
            document = json.dumps({"name": kind, "phases": [{"exec": SCRIPT}]}).encode()

            def turn() -> float:
                calls = Jobs(session)
                job, status = run_job(calls, document, names)
                calls.wait_archived(job)
                return count / lifetime(status)

            yield turn
    finally:
        service.stop()
        shutil.rmtree(service.state_dir)


def put_inputs(session: Session, count: int) -> list[str]:
    home = f"/{session.settings.account}/stor"
    texts = {f"{home}/{number:05}": words(1000, seed=number % 50) for number in range(count)}
    put_many(session, texts)
    return list(texts)
