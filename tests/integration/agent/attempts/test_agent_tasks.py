"""Tasks through a real agent and real lackeys: what goes in, what comes out, what is reported."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import tarfile

from datapath.plain import plain_environment
from scheduler.model.wire import AttemptId, Outcome
from scheduler.objects.blobs import MODE
from tests.support.eventually import eventually
from tests.support.machine import ONE_USER
from tests.support.nodes.agent_rig import KNOCK, Rig
from tests.support.nodes.fake_supervisor import JOB
from tests.support.nodes.lackey_instance import needs_core_files, processes_with, unique_seconds

BASE = f"/jill/jobs/{JOB}/stor"


def md5(data: bytes) -> str:
    return base64.b64encode(hashlib.md5(data).digest()).decode()


async def test_a_map_task_reads_its_object_and_its_stdout_becomes_a_blob(agent: Rig) -> None:
    report = await agent.run("tr a-z A-Z", b"hello\n")
    assert (report.outcome, report.code) == (Outcome.OK, None)
    (output,) = report.outputs
    assert agent.read(output.blob) == b"HELLO\n"
    assert output.blob.md5 == md5(b"HELLO\n")
    assert output.name.startswith(f"{BASE}/jill/stor/in1.txt.0.")
    assert report.stderr is None
    assert report.usage.wall_us > 0
    assert (report.usage.bytes_in, report.usage.bytes_out) == (6, 6)


async def test_outputs_of_an_inner_phase_are_not_hashed(agent: Rig) -> None:
    report = await agent.run("cat", b"x", last=False)
    assert report.outputs[0].blob.md5 is None


async def test_what_is_only_read_by_the_next_stage_is_not_hashed(agent: Rig) -> None:
    report = await agent.run("cat", b"x", hashed=False)
    assert (report.outputs[0].blob.md5, report.outputs[0].blob.node) == (None, None)
    failed = await agent.run("cat; echo why >&2; exit 1", b"x", hashed=False)
    assert failed.stderr.blob.md5 == md5(b"why\n")  # an object of the job


# Overwrites what it has printed; the name of its output is in no script.
REWRITTEN = """
head -c 6000000 /dev/zero | tr '\\0' a
sleep 0.3
v=v; printf XYZ > /de$v/stdout
echo end
"""


async def test_a_task_cannot_change_what_was_hashed_while_it_printed(agent: Rig) -> None:
    for script in (REWRITTEN, "head -c 30000001 /dev/zero", "cat"):
        report = await agent.run(script, b"short", piped=True)
        blob = report.outputs[0].blob
        assert blob.md5 == md5(agent.read(blob)), script
        assert report.outcome is Outcome.OK


async def test_the_environment_is_exactly_the_documented_one(agent: Rig) -> None:
    report = await agent.run("env", b"x")
    found = dict(line.split("=", 1) for line in agent.output(report).decode().splitlines())
    for set_by_bash in ("PWD", "SHLVL", "_", "OLDPWD"):
        found.pop(set_by_bash, None)
    assert plain_environment(found), "every task would need bash"
    assert found.pop("MANTA_URL").startswith(("http://127.0.0.1:", "http://localhost:80/"))
    alone = not agent.isolated or ONE_USER
    assert found.pop("TAR_OPTIONS", None) == ("--no-same-owner" if alone else None)
    plain = {"TMPDIR": agent.inside("/root"), "REMORA_SOCKET": f"{agent.state_dir}/instances/0/agent.sock"}
    assert found == ({} if agent.isolated else plain) | {
        "HOME": agent.inside("/root"),
        "PATH": agent.inside("/.remora/bin") + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "MANTA_NO_AUTH": "true",
        "MANTA_USER": "jill",
        "MANTA_JOB_ID": JOB,
        "MANTA_OUTPUT_BASE": f"{BASE}/jill/stor/in1.txt.0.",
        "MANTA_INPUT_OBJECT": "/jill/stor/in1.txt",
        "mc_input_key": "/jill/stor/in1.txt",
        "MANTA_INPUT_FILE": agent.inside("/manta/jill/stor/in1.txt"),
        "mc_input_file": agent.inside("/manta/jill/stor/in1.txt"),
        "DTRACE_DOF_INIT_DISABLE": "1",
        "SHELL": "/bin/bash",
    }


async def test_the_input_file_is_the_object_and_cannot_be_changed(agent: Rig) -> None:
    task = agent.map_task(b"precious")
    script = (
        'cat "$MANTA_INPUT_FILE"; for f in "$MANTA_INPUT_FILE" /dev/stdin; do'
        ' { echo bad > "$f"; } 2>/dev/null && echo WROTE; { echo bad >> "$f"; } 2>/dev/null && echo WROTE; done;'
        ' rm -f "$MANTA_INPUT_FILE" 2>/dev/null; true'
    )
    agent.grant(agent.spec(script), task)
    report = await agent.report_of(task)
    assert agent.output(report) == b"precious"
    assert agent.read(task.blob) == b"precious"


async def test_a_task_that_opens_its_input_by_force_is_kept_out_or_found_out(agent: Rig) -> None:
    script = 'chmod u+w "$MANTA_INPUT_FILE" && echo bad >> "$MANTA_INPUT_FILE" && rm "$MANTA_INPUT_FILE"'
    task, other = agent.map_task(b"precious"), agent.map_task(b"x")
    agent.grant(agent.spec(f'[ "$(cat)" = x ] || {{ {script}; }}'), task, other)
    guilty, innocent = await agent.reports_of(task, other)
    assert (guilty.outcome, guilty.code) == (Outcome.FAILED, "UserTaskError")
    assert innocent.outcome is Outcome.OK
    if agent.isolated:
        assert agent.read(task.blob) == b"precious"
    else:
        assert guilty.message == "user task changed its input file"
        assert agent.blobs.status(task.blob.id).st_mode & 0o777 == MODE


async def test_a_task_that_opens_its_stdin_by_force_is_kept_out_or_found_out(agent: Rig) -> None:
    task = agent.map_task(b"precious")
    agent.grant(agent.spec("f=/proc/$$/fd/0; chmod u+w $f && echo bad >> $f; cat"), task)
    report = await agent.report_of(task)
    if report.message != "user task changed its input file":
        assert report.outcome is Outcome.OK
        assert agent.read(task.blob) == b"precious"


async def test_an_object_that_is_deleted_while_its_task_runs_is_no_fault_of_the_task(agent: Rig) -> None:
    task = agent.map_task(b"precious")
    agent.grant(agent.spec(f"{KNOCK}; cat"), task)
    await agent.until(lambda supervisor: bool(supervisor.requests))
    agent.blobs.discard([task.blob.id])
    assert (await agent.report_of(task)).outcome is Outcome.OK


async def test_an_archive_of_another_user_is_unpacked(agent: Rig) -> None:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        member = tarfile.TarInfo("program")
        member.uid = member.gid = 1000
        member.size = 5
        tar.addfile(member, io.BytesIO(b"hello"))
    report = await agent.run("tar xzf - && cat program", archive.getvalue())
    assert (report.outcome, agent.output(report)) == (Outcome.OK, b"hello")


async def test_an_empty_object_is_an_input_like_any_other(agent: Rig) -> None:
    report = await agent.run('wc -c < "$MANTA_INPUT_FILE"; wc -c', b"")
    assert agent.output(report).split() == [b"0", b"0"]


async def test_an_empty_output_is_an_output_without_a_file(agent: Rig) -> None:
    report = await agent.run("true", b"x")
    assert report.outputs[0].blob.size == 0
    assert report.outputs[0].blob.md5 == md5(b"")


async def test_stdout_and_stderr_can_be_opened_by_name(agent: Rig) -> None:
    report = await agent.run("echo out > /dev/stdout; echo err > /dev/stderr; exit 1")
    assert agent.output(report) == b"out\n"
    assert agent.read(report.stderr.blob) == b"err\n"


async def test_many_tasks_run_in_order_in_one_instance_and_share_its_files(agent: Rig) -> None:
    tasks = [agent.map_task(b"%d" % number) for number in range(50)]
    agent.grant(agent.spec("cat >> seen; cat seen | wc -c; echo >> seen"), *tasks)
    reports = await agent.reports_of(*tasks)
    sizes = [int(agent.output(report)) for report in reports]
    assert sizes == sorted(sizes)
    assert len(set(sizes)) == 50
    assert agent.supervisor.report_requests < 50


async def test_one_object_twice_and_names_at_odds_all_run(agent: Rig) -> None:
    shared = agent.blob(b"same")
    tasks = [agent.map_task(shared, "/jill/stor/a") for _ in range(5)]
    tasks += [agent.map_task(b"deeper", "/jill/stor/a/b"), agent.map_task(b"again", "/jill/stor/a")]
    tasks += [agent.map_task(b"other", "/jill/stor/a")]
    agent.grant(agent.spec('cat "$MANTA_INPUT_FILE"'), *tasks)
    reports = await agent.reports_of(*tasks)
    assert [agent.output(report) for report in reports] == [b"same"] * 5 + [b"deeper", b"again", b"other"]


async def test_a_name_that_no_file_can_have_is_shortened_and_failures_say_so(agent: Rig) -> None:
    name = "/jill/stor/" + "x" * 300
    task = agent.map_task(b"data", name)
    agent.grant(agent.spec('cat "$MANTA_INPUT_FILE"; echo "$MANTA_INPUT_OBJECT" >&2; exit 3'), task)
    report = await agent.report_of(task)
    assert agent.output(report) == b"data"
    assert agent.read(report.stderr.blob).decode() == name + "\n"
    assert report.message == (
        "user command exited with code 3 (WARNING: input file was mapped at an unusual location "
        "because the object name was too long)"
    )


async def test_a_failed_task_saves_stdout_and_stderr_under_their_names(agent: Rig) -> None:
    report = await agent.run("echo out; echo err >&2; exit 7", last=False)
    assert (report.outcome, report.code) == (Outcome.FAILED, "UserTaskError")
    assert report.message == "user command exited with code 7"
    assert agent.output(report) == b"out\n"
    assert report.outputs[0].blob.md5 == md5(b"out\n")
    assert report.stderr.name.startswith(f"{BASE}/jill/stor/in1.txt.0.err.")
    assert agent.read(report.stderr.blob) == b"err\n"
    assert report.core is None


async def test_stderr_of_one_task_never_shows_in_that_of_another(agent: Rig) -> None:
    tasks = [agent.map_task(b"0"), agent.map_task(b"1")]
    agent.grant(agent.spec('read n; [ "$n" = 1 ] && exit 1; echo secret-of-the-first >&2'), *tasks)
    first, second = await agent.reports_of(*tasks)
    assert first.outcome is Outcome.OK
    assert second.stderr.blob.size == 0


async def test_a_signal_is_named(agent: Rig) -> None:
    report = await agent.run("kill -TERM $$")
    assert report.message == "user command terminated by SIGTERM"


@needs_core_files
async def test_a_core_dump_of_a_child_is_a_failure_and_is_saved(agent: Rig) -> None:
    report = await agent.run("sh -c 'kill -SEGV $$'; sleep 100")
    assert report.message == "user command or child process dumped core"
    assert report.core.name.startswith(f"{BASE}/cores/0/core.")
    assert agent.read(report.core.blob)[:4] == b"\x7fELF"
    assert report.core.blob.md5 == md5(agent.read(report.core.blob))


async def test_a_core_that_is_a_link_leads_nowhere(agent: Rig) -> None:
    report = await agent.run("ln -s /etc/passwd core; exit 1")
    assert report.outcome is Outcome.FAILED
    assert report.core is None


async def test_a_daemon_left_behind_is_gone_when_the_task_is_reported(agent: Rig) -> None:
    seconds = unique_seconds()
    daemon = f"(trap '' HUP TERM; echo > there; exec setsid sleep {seconds})"
    report = await agent.run(f'setsid bash -c "{daemon} &"; until [ -e there ]; do :; done')
    assert report.outcome is Outcome.OK
    assert processes_with(seconds) == []


async def test_an_object_that_is_gone_fails_the_task(agent: Rig) -> None:
    task = agent.map_task(b"data")
    agent.blobs.discard([task.blob.id])
    agent.grant(agent.spec("cat"), task)
    report = await agent.report_of(task)
    assert (report.code, report.message) == ("ResourceNotFoundError", "failed to load object")


async def test_a_long_script_reaches_the_task_whole(agent: Rig) -> None:
    padding = "# " + "x" * 99_000 + "\n"
    report = await agent.run(padding + "echo $HELLO", init=padding + "true")
    assert report.outcome is Outcome.OK


async def test_a_job_that_is_over_leaves_no_instance(agent: Rig) -> None:
    task = agent.map_task(b"")
    spec = agent.spec("true")
    agent.grant(spec, task, instances=2)
    await agent.report_of(task)
    agent.release(spec)
    after = agent.map_task(b"")
    agent.grant(agent.spec("true"), after)
    await agent.report_of(after)
    await agent.until(lambda supervisor: not any(p.pool == spec.pool for p in supervisor.states[-1].pools))


async def test_a_cancelled_attempt_is_killed_and_never_reported(agent: Rig) -> None:
    running, waiting = agent.map_task(b""), agent.map_task(b"")
    spec = agent.spec("sleep 1000", last=False)
    agent.grant(spec, running, waiting)
    agent.cancel(waiting)
    agent.cancel(running)
    after = agent.map_task(b"")
    agent.grant(agent.spec("echo ok"), after)
    await agent.report_of(after)
    assert set(agent.supervisor.reports) == {(after.task, 1)}


async def test_tasks_behind_a_long_one_are_taken_back_and_run_elsewhere(agent: Rig) -> None:
    short = [agent.map_task(b"0") for _ in range(40)]
    spec = agent.spec('read n; [ "$n" = 1 ] && sleep 1000; true')
    agent.grant(spec, *short, instances=2)
    await agent.reports_of(*short)
    long = agent.map_task(b"1")
    behind = [agent.map_task(b"0") for _ in range(20)]
    agent.grant(spec, long, *behind, instances=2)
    await agent.reports_of(*behind)
    assert (long.task, 1) not in agent.supervisor.reports


async def test_reports_survive_a_gateway_that_does_not_answer(agent: Rig) -> None:
    agent.supervisor.unavailable = 2
    assert (await agent.run("echo x")).outcome is Outcome.OK


async def test_an_agent_that_is_not_known_drops_what_is_not_adopted_and_registers_anew(agent: Rig) -> None:
    await agent.run("true")
    agent.supervisor.forgotten = True
    agent.grant(agent.spec("sleep 1000"), agent.map_task(b""))
    await agent.until(lambda supervisor: supervisor.registrations == 2)
    await eventually(lambda: agent.instances() == [], "its instances are gone")
    assert (await agent.run("echo x")).outcome is Outcome.OK


async def test_an_agent_that_is_not_known_goes_on_with_what_is_adopted(agent: Rig) -> None:
    supervisor = agent.supervisor
    supervisor.adopts, supervisor.held = True, asyncio.Event()
    task, spec = agent.map_task(b"data"), agent.spec(f"{KNOCK}; cat")
    agent.grant(spec, task)
    await agent.until(lambda supervisor: supervisor.pending == 1)
    supervisor.forgotten = True
    await agent.until(lambda supervisor: supervisor.registrations == 2)
    assert supervisor.attempts == [AttemptId(task=task.task, attempt=task.attempt)]
    assert supervisor.pools == [spec.pool]
    supervisor.held.set()
    assert agent.output(await agent.report_of(task)) == b"data"
