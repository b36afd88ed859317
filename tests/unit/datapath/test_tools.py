"""mpipe, mcat, mtee as programs, and what all tools have in common; the rest of msplit is in test_msplit.py."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from datapath.passing import Open, OpenFlag, OpenKind
from tests.support.nodes.tool_agent import FakeAgent, fails, run


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[FakeAgent]:
    agent = FakeAgent(tmp_path)
    yield agent
    agent.close()


@pytest.mark.parametrize("tool", ["mpipe", "mcat", "mtee", "msplit"])
def test_help_is_on_stdout_and_a_mistake_shows_the_usage(agent: FakeAgent, tool: str) -> None:
    helped = run(agent, tool, "--help")
    assert (helped.returncode, helped.stderr) == (0, b"")
    assert helped.stdout.startswith(f"usage: {tool} ".encode())
    wrong = run(agent, tool, "-x")
    fails(wrong, 2, f"{tool}: unknown option: -x")
    assert wrong.stderr.endswith(helped.stdout)
    assert agent.asked == []


@pytest.mark.parametrize("tool", ["mpipe", "mcat /a", "mtee /a", "msplit -n 1"])
def test_without_an_agent_a_tool_says_that_it_works_in_tasks_only(agent: FakeAgent, tool: str) -> None:
    name = tool.split()[0]
    why = "No such file or directory (this command works inside of tasks only)"
    fails(
        run(agent, *tool.split(), REMORA_SOCKET="/nowhere/sock"),
        1,
        f"{name}: cannot reach the agent at /nowhere/sock: {why}",
    )


@pytest.mark.parametrize("tool", ["mpipe", "mcat /a", "mtee /a", "msplit -n 1"])
def test_a_refusal_ends_a_tool_with_its_sentence_and_status(agent: FakeAgent, tool: str) -> None:
    agent.refusal = ("no such directory: /a", 3)
    fails(run(agent, *tool.split()), 3, f"{tool.split()[0]}: no such directory: /a")


@pytest.mark.parametrize("tool", ["mpipe", "mtee /a", "msplit -n 1"])
def test_a_full_disk_is_reported_and_nothing_is_committed(agent: FakeAgent, tool: str) -> None:
    agent.file = Path("/dev/full")
    done = run(agent, *tool.split(), stdin=b"x\n")
    assert done.returncode == 1
    assert b"no space left on the disk of this node" in done.stderr
    assert not agent.asked[0].committed


def test_mpipe_saves_stdin_and_prints_the_name(agent: FakeAgent) -> None:
    data = os.urandom(300_000)
    done = run(agent, "mpipe", stdin=data)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"/jill/jobs/1/stor/x.0.uuid\n", b"")
    (asked,) = agent.asked
    assert asked.request == Open(OpenKind.PIPE, OpenFlag(0), None, 0, "", "")
    assert asked.committed
    assert asked.data() == data


def test_mpipe_passes_on_all_that_it_is_told(agent: FakeAgent) -> None:
    done = run(agent, "mpipe", "~~/stor/a", "-p", "-r2", "-H", "m-foo: bar: 1", "-H", "content-type:text/x")
    assert (done.returncode, done.stdout) == (0, b"/jill/stor/a\n")
    headers = "m-foo: bar: 1\ncontent-type: text/x\n"
    assert agent.asked[0].request == Open(OpenKind.PIPE, OpenFlag.PARENTS, 2, 0, "/jill/stor/a", headers)
    assert agent.asked[0].data() == b""


def test_mpipe_saves_a_file_and_leaves_it(agent: FakeAgent, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"from a file")
    assert run(agent, "mpipe", "-f", str(tmp_path / "f"), stdin=b"not this").returncode == 0
    assert agent.asked[0].data() == b"from a file"
    assert (tmp_path / "f").exists()
    for unreadable in ("/no/file", str(tmp_path)):
        sentence = f"mpipe: file {unreadable} does not exist or is not readable."
        fails(run(agent, "mpipe", "-f", unreadable), 2, sentence)


@pytest.mark.parametrize(
    ("argument", "name"),
    [
        ("~~", "/jill"),
        ("~~/", "/jill"),
        ("/a//b/./c/../d/", "/a/b/d"),
        ("/../..", "/"),
        ("/a/~~/b", "/a/~~/b"),
        ("/.../..a/.b", "/.../..a/.b"),
        ("/é \n", "/é \n"),
    ],
)
def test_paths_are_expanded_and_normal(agent: FakeAgent, argument: str, name: str) -> None:
    assert run(agent, "mcat", argument).returncode == 0
    assert agent.asked[0].request.name == name


@pytest.mark.parametrize("argument", ["stor/a", "", "~~x/y", "~"])
def test_a_path_that_is_not_absolute_is_a_mistake(agent: FakeAgent, argument: str) -> None:
    sentence = f'mpipe: path begins with neither "/" nor "~~": "{argument}"'
    fails(run(agent, "mpipe", argument), 2, sentence)


def test_mistakes_of_the_command_line_end_with_2(agent: FakeAgent) -> None:
    fails(run(agent, "mpipe", "-r", "1x"), 2, "mpipe: invalid reducer")
    fails(run(agent, "mpipe", "-r"), 2, "mpipe: option needs a value: -r")
    fails(run(agent, "mpipe", "-H", "x"), 2, "mpipe: headers must be in the format [header]: [value].")
    fails(run(agent, "mpipe", "-H", "x: 1\nsecret: 2"), 2, "mpipe: header has a line break in it")
    fails(run(agent, "mpipe", "/a", "/b"), 2, "mpipe: more than one path")
    fails(run(agent, "mpipe", "/" + "x" * 4096), 2, "mpipe: path is longer than 4095 bytes")
    fails(run(agent, "mpipe", MANTA_OUTPUT_BASE=None), 2, "mpipe: manta configuration not found in environment")
    fails(run(agent, "mcat"), 2, "mcat: path required")
    fails(run(agent, "mcat", "/a", "b"), 2, 'mcat: path begins with neither "/" nor "~~": "b"')
    fails(run(agent, "mcat", "~~/a", MANTA_USER=None), 2, 'mcat: cannot expand "~~": MANTA_USER is not set')
    fails(run(agent, "mtee"), 2, "mtee: A manta object key must be specified.")
    fails(run(agent, "mtee", "-c", "0", "/a"), 2, "mtee: invalid durability (-c)")
    assert agent.asked == []


def test_a_reducer_out_of_range_is_the_agents_to_refuse(agent: FakeAgent) -> None:
    agent.refusal = ("invalid reducer", 1)
    fails(run(agent, "mpipe", "-r128"), 1, "mpipe: invalid reducer")
    assert agent.asked[0].request.reducer == 128
    fails(run(agent, "mpipe", "-r", "-1"), 1, "mpipe: invalid reducer")
    fails(run(agent, "mpipe", "-r", "99999999999999999999"), 1, "mpipe: invalid reducer")


def test_mcat_names_each_object_and_prints_nothing(agent: FakeAgent) -> None:
    done = run(agent, "mcat", "-r", "3", "/jill/stor/a", "~~/stor/b")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    wanted = [Open(OpenKind.REFERENCE, OpenFlag(0), 3, 0, name, "") for name in ("/jill/stor/a", "/jill/stor/b")]
    assert [asked.request for asked in agent.asked] == wanted


def test_mtee_saves_and_passes_on(agent: FakeAgent) -> None:
    data = os.urandom(300_000)
    done = run(agent, "mtee", "-c", "1", "~~/stor/t", stdin=data)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == data == agent.asked[0].data()
    assert agent.asked[0].request == Open(OpenKind.TEE, OpenFlag(0), None, 0, "/jill/stor/t", "x-durability-level: 1\n")


@pytest.mark.parametrize("tool", ["mpipe", "mcat /a", "mtee /a", "msplit -n 1"])
def test_a_tool_asks_again_when_the_agent_goes_away_before_it_answers(agent: FakeAgent, tool: str) -> None:
    agent.ignored = 1
    done = run(agent, *tool.split(), stdin=b"x\n")
    assert (done.returncode, done.stderr) == (0, b"")
    assert [asked.request.kind for asked in agent.asked] == [agent.asked[0].request.kind] * 2
    assert tool == "mcat /a" or agent.asked[1].data() == b"x\n"


def test_a_tool_gives_up_after_a_few_tries(agent: FakeAgent) -> None:
    agent.ignored = 100
    why = "it closed the connection before it answered"
    fails(run(agent, "mpipe"), 1, f"mpipe: the agent does not answer: {why}")
    assert len(agent.asked) == 4


def test_a_commit_without_an_answer_is_a_failure(agent: FakeAgent) -> None:
    agent.forgetful = True
    fails(run(agent, "mpipe"), 1, "mpipe: the agent closed the connection before it answered")
    assert len(agent.asked) == 1
