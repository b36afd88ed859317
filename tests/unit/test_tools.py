"""mpipe, mcat, mtee, msplit as programs, against an agent of a few lines."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from datapath import libexec, passing
from datapath.passing import Kind, Open, OpenFlag, OpenKind

TIMEOUT = 20


@dataclass
class Asked:
    """One connection of a tool: what it asked for, the files it was granted, and whether it committed."""

    request: Open
    files: list[int] = field(default_factory=list)
    committed: bool = False

    def data(self, index: int = 0) -> bytes:
        return os.pread(self.files[index], 10_000_000, 0)


class FakeAgent:
    """Grants what is asked, unless `refusal` is set; answers like the agent, one connection after another."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "agent.sock"
        self.folder = folder
        self.refusal: tuple[str, int] | None = None
        self.file: Path | None = None  # grant this one instead of a fresh file
        self.asked: list[Asked] = []
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(str(self.path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()
        for asked in self.asked:
            for fd in asked.files:
                os.close(fd)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            channel = passing.Channel(connection.detach())
            self._answer(channel)
            channel.close()

    def _answer(self, channel: passing.Channel) -> None:
        message = channel.receive()
        if message is None:
            return
        asked = Asked(passing.decode_open(message.payload))
        self.asked.append(asked)
        if self.refusal:
            channel.send(Kind.REFUSED, payload=self.refusal[0].encode(), flags=self.refusal[1])
            return
        if asked.request.kind is not OpenKind.REFERENCE:
            count = asked.request.count if asked.request.kind is OpenKind.SPLIT else 1
            asked.files = [self._fresh() for _ in range(count)]
            channel.send(Kind.GRANT, fds=asked.files)
            reply = channel.receive()
            asked.committed = reply is not None and reply.kind == Kind.COMMIT
        if asked.committed or asked.request.kind is OpenKind.REFERENCE:
            channel.send(Kind.OK, payload=(asked.request.name or "/jill/jobs/1/stor/x.0.uuid").encode())

    def _fresh(self) -> int:
        if self.file:
            return os.open(self.file, os.O_RDWR)
        return os.open(self.folder, os.O_TMPFILE | os.O_RDWR)


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[FakeAgent]:
    agent = FakeAgent(tmp_path)
    yield agent
    agent.close()


def run(
    agent: FakeAgent, *argv: str, stdin: bytes = b"", **variables: str | None
) -> subprocess.CompletedProcess[bytes]:
    environment = {
        "REMORA_SOCKET": str(agent.path),
        "MANTA_USER": "jill",
        "MANTA_OUTPUT_BASE": "/jill/jobs/1/stor/x.0.",
    }
    environment |= {name: value for name, value in variables.items() if value is not None}
    for name in [name for name, value in variables.items() if value is None]:
        environment.pop(name)
    return subprocess.run(
        [libexec(argv[0]), *argv[1:]], input=stdin, capture_output=True, env=environment, timeout=TIMEOUT, check=False
    )


def fails(done: subprocess.CompletedProcess[bytes], status: int, first_line: str) -> None:
    assert done.stderr.decode().split("\n")[0] == first_line
    assert (done.returncode, done.stdout) == (status, b"")


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
    fails(run(agent, "mpipe", "-f", "/no/file"), 1, 'mpipe: cannot open "/no/file": No such file or directory')


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
    fails(run(agent, "mpipe", "-H", "x"), 2, 'mpipe: header must be in the form of "[header]: value"')
    fails(run(agent, "mpipe", "-H", "x: 1\nsecret: 2"), 2, "mpipe: header has a line break in it")
    fails(run(agent, "mpipe", "/a", "/b"), 2, "mpipe: more than one path")
    fails(run(agent, "mpipe", "/" + "x" * 4096), 2, "mpipe: path is longer than 4095 bytes")
    fails(run(agent, "mpipe", MANTA_OUTPUT_BASE=None), 2, "mpipe: manta configuration not found in environment")
    fails(run(agent, "mcat"), 2, "mcat: path required")
    fails(run(agent, "mcat", "/a", "b"), 2, 'mcat: path begins with neither "/" nor "~~": "b"')
    fails(run(agent, "mcat", "~~/a", MANTA_USER=None), 2, 'mcat: cannot expand "~~": MANTA_USER is not set')
    fails(run(agent, "mtee"), 2, "mtee: path required")
    fails(run(agent, "mtee", "-c", "0", "/a"), 2, "mtee: invalid number of copies")
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


def test_msplit_makes_a_part_for_every_reducer(agent: FakeAgent) -> None:
    done = run(agent, "msplit", "-n", "3", stdin=b"a\t1\nfoo\t2\n\na\t3")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    (asked,) = agent.asked
    assert asked.request == Open(OpenKind.SPLIT, OpenFlag(0), None, 3, "", "")
    assert [asked.data(index) for index in range(3)] == [b"a\t1\na\t3\n", b"foo\t2\n\n", b""]


def test_msplit_takes_fields_and_delimiter(agent: FakeAgent) -> None:
    assert run(agent, "msplit", "-d", ",", "-f", "2", "-f", "9,8", "-n4", stdin=b"x,foo\ny,a\n").returncode == 0
    assert [agent.asked[0].data(index) for index in range(4)] == [b"", b"y,a\n", b"", b"x,foo\n"]


def test_msplit_by_index_and_by_xxh3(agent: FakeAgent) -> None:
    assert run(agent, "msplit", "-n", "2", "-i", stdin=b"1\tb\n0\ta\n").returncode == 0
    assert [agent.asked[0].data(index) for index in range(2)] == [b"0\ta\n", b"1\tb\n"]
    wrong = run(agent, "msplit", "-n", "2", "-i", stdin=b"2\tb\n")
    fails(wrong, 1, "msplit: Parsed 2 as 2 out of line: 2\tb")
    assert wrong.stderr.endswith(b"\nWhich is not a number or not within the valid range of reducers.\n")
    assert not agent.asked[1].committed
    assert run(agent, "msplit", "-n", "2", "--hash=xxh3", stdin=b"b\n").returncode == 0


def test_mistakes_of_msplit_end_with_2(agent: FakeAgent) -> None:
    fails(run(agent, "msplit"), 2, "msplit: number of reducers must be specified.")
    for number in ("0", "-1", "x", "129", ""):
        fails(run(agent, "msplit", "-n", number), 2, "msplit: invalid number of reducers")
    for wrong in ("0", "x", "-1", "1x"):
        fails(run(agent, "msplit", "-n1", "-f", f"1,{wrong}"), 2, f"msplit: invalid field: {wrong}")
    fails(run(agent, "msplit", "-n1", "-d", "\n"), 2, "msplit: cannot use newline as a delimiter.")
    fails(run(agent, "msplit", "-n1", "-d", ""), 2, "msplit: the delimiter is empty")
    fails(run(agent, "msplit", "-n1", "--hash=sha1"), 2, 'msplit: unknown hash: "sha1" (md5 or xxh3)')
    fails(run(agent, "msplit", "-n1", MANTA_OUTPUT_BASE=None), 2, "msplit: MANTA_OUTPUT_BASE not set")
    fails(run(agent, "msplit", "-n1", "file"), 2, "msplit: unexpected argument: file")
    for option in ("-j", "-z"):
        sentence = f"msplit: {option} is not supported: keys are made of fields (-f), and parts are plain text"
        fails(run(agent, "msplit", "-n1", option), 2, sentence)
    assert agent.asked == []
