"""Whatever a command meets when it starts, its user reads a sentence: no traceback, no warning of Python's.

Every command, found by itself, is run in every odd situation: without standard streams, with addresses that no service
has, with profiles and keys that are none, in a directory that is gone. That is a thousand commands: the default run
has every fifth, such that no command and no situation is left out. A command is a fork of a process that has imported
all of them: that takes a hundredth of a start of Python.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cli import main, manual
from tests.support.services.forks import import_all
from tests.support.services.service import Service
from tests.support.variants import variants

SECONDS = 30
PARTS = 5
# They serve until they are told to end, or do for minutes what the machine lets them: they get an option too much.
LONG = ("remora up", "remora gateway", "remora supervisor", "remora agent", "remora demo", "remora doctor")
LONG += ("remora image build-default",)
NEVER = ("Traceback", "Warning:", "fault in Remora", "Exception ignored", "Error in sys.", "<frozen")
OPERANDS: Mapping[str, Sequence[str]] = {
    "mjob create": ("-m", "wc"),
    "mjob list": (),
    "mfind": ("~~/stor",),
    "mls": (),
    "mln": ("~~/stor/a", "~~/stor/b"),
    "remora completion": ("bash",),
    "remora man": ("mls",),
    "remora env": (),
    "remora user add": ("june", "--key", "-"),
    "remora key add": ("june", "-"),
    "remora key rm": ("june", "SHA256:x"),
}


@dataclass(frozen=True)
class Situation:
    """What is odd. `streams` says what a descriptor is instead of a file: None is closed."""

    env: Mapping[str, str | None] = field(default_factory=dict)
    streams: Mapping[int, str | None] = field(default_factory=dict)
    operand: str | None = None
    prepare: Callable[[Path], None] = lambda _: None
    encoding: str = "utf-8"


def profile(text: bytes) -> Callable[[Path], None]:
    return lambda place: (place / "client.json").write_bytes(text) and None


def with_key(data: bytes) -> Callable[[Path], None]:
    def prepare(place: Path) -> None:
        (place / "key").write_bytes(data)
        (place / "key").chmod(0o600)
        facts = {"url": "http://127.0.0.1:1", "user": "jill", "key_id": "a:b", "key_file": str(place / "key")}
        (place / "client.json").write_text(json.dumps(facts))

    return prepare


def leave(place: Path) -> None:
    (place / "gone").mkdir()
    os.chdir(place / "gone")
    (place / "gone").rmdir()


def old_key() -> bytes:
    """A key of a kind that OpenSSH has given up, about which cryptography warns."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import dsa

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        key = dsa.generate_private_key(1024)
        form = serialization.PrivateFormat.OpenSSH
        return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


NOWHERE = {"MANTA_USER": "jill", "MANTA_NO_AUTH": "true"}
SITUATIONS = {
    "no stdin": Situation(streams={0: None}),
    "no stdout": Situation(streams={1: None}),
    "no streams": Situation(streams={0: None, 1: None, 2: None}),
    "a full disk": Situation(streams={1: "/dev/full", 2: "/dev/full"}),
    "a port that is none": Situation(env=NOWHERE | {"MANTA_URL": "http://127.0.0.1:99999"}),
    "a host without a name": Situation(env=NOWHERE | {"MANTA_URL": "http://a..b/"}),
    "a profile that is no JSON": Situation(prepare=profile(b"{")),
    "a profile that is no text": Situation(prepare=profile(b"\xff\xfe\0")),
    "a profile with an odd address": Situation(prepare=profile(b'{"url": "http://[", "user": "j", "key_id": "k"}')),
    "a directory as profile": Situation(prepare=lambda place: (place / "client.json").mkdir()),
    "no profile": Situation(),
    "a key that is none": Situation(prepare=with_key(b"-----BEGIN PRIVATE KEY-----\nnonsense\n")),
    "a key of an old kind": Situation(prepare=with_key(old_key())),
    "an odd key in a home": Situation(env={"MANTA_KEY_ID": "x", "SSH_AUTH_SOCK": "/dev/null"} | NOWHERE),
    "no home": Situation(env={"HOME": None, "XDG_STATE_HOME": None}),
    "an odd locale": Situation(env={"LANG": "xx_YY.nonsense", "LC_ALL": "C"}, operand="~~/stor/ü", encoding="ascii"),
    "a name that is no text": Situation(operand="~~/stor/\udcff"),
    "an empty operand": Situation(operand=""),
    "an operand of two lines": Situation(operand="~~/stor/a\nb\x1b[31m"),
    "a terminal of an odd size": Situation(env={"COLUMNS": "-5", "LINES": "x", "TERM": "", "TZ": "Nowhere/At_All"}),
    "a directory that is gone": Situation(prepare=leave),
}
LIVE = {"no stdin", "no stdout", "no streams", "a full disk", "an odd locale",
        "a name that is no text", "an empty operand", "an operand of two lines", "a terminal of an odd size",
        "a directory that is gone"}  # fmt: skip


def every_command() -> Iterator[str]:
    """Commands that have no sub-commands, as they are typed; all modules of theirs are imported by that."""
    for page in manual.pages():
        if page.name not in manual.TOOLS and not page.commands:
            yield page.usage[0].partition(" [")[0]


COMMANDS = sorted(every_command())
# Those that ask a service, or its records: what an address or a name does to them.
CLIENTS = [command for command in COMMANDS if not command.startswith("remora") or "user" in command or "key" in command]
OTHERS = sorted(set(COMMANDS) - set(CLIENTS))


def words_of(command: str, situation: Situation) -> list[str]:
    if command in LONG:
        return [*command.split(), "--no-such-option"]
    if situation.operand is not None:
        return [*command.split(), situation.operand]
    return [*command.split(), *OPERANDS.get(command, ["~~/stor/x"])]


def run(words: list[str], situation: Situation, env: dict[str, str]) -> tuple[int, str]:
    """The command in a fork: its status, below 0 for a signal, and all that it said."""
    with tempfile.TemporaryDirectory() as place, tempfile.TemporaryFile() as said:
        child = os.fork()
        if child == 0:
            try:
                become(words, situation, env, Path(place), said.fileno())
            finally:
                os._exit(99)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        said.seek(0)
        return status, said.read().decode(errors="replace")


def become(words: list[str], situation: Situation, env: dict[str, str], place: Path, said: int) -> None:
    """Be the command, as if it had just been started."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # which ends us; the limit of tests has a handler
    signal.alarm(SECONDS)
    os.chdir(place)
    os.environ.clear()
    os.environ.update({"HOME": str(place), "PATH": os.environ.get("PATH", "/usr/bin:/bin"), **env})
    if "REMORA_STATE_DIR" not in env:
        os.environ["REMORA_STATE_DIR"] = str(place)
    for name, value in situation.env.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value
    situation.prepare(place)
    for number, mode in ((0, "r"), (1, "w"), (2, "w")):
        target = situation.streams.get(number, "/dev/null" if number == 0 else "said")
        stream = None
        with contextlib.suppress(OSError):
            os.close(number)
        if target is not None:
            opened = os.dup(said) if target == "said" else os.open(target, os.O_RDONLY if number == 0 else os.O_WRONLY)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            raw = io.FileIO(number, mode)
            buffered = io.BufferedReader(raw) if number == 0 else io.BufferedWriter(raw)
            stream = io.TextIOWrapper(buffered, encoding=situation.encoding)
        setattr(sys, ("stdin", "stdout", "stderr")[number], stream)
    sys.argv = words
    sys.warnoptions = []
    try:
        main.run(words[0])
    except SystemExit as end:
        os._exit(end.code if isinstance(end.code, int) else 1)
    except BaseException:
        import traceback

        os.write(said, traceback.format_exc().encode())


def share(name: str, part: int) -> list[str]:
    """One of the `PARTS` parts of the commands that are run in a situation."""
    others = OTHERS if len(SITUATIONS[name].streams) == 3 and part == 0 else []
    return others + CLIENTS[(part + list(SITUATIONS).index(name)) % PARTS :: PARTS]


@pytest.fixture(scope="module", autouse=True)
def once_for_all_forks() -> None:
    import_all()


@pytest.mark.parametrize("part", variants(range(PARTS)))
@pytest.mark.parametrize("name", SITUATIONS)
def test_whatever_a_command_meets_it_says_a_sentence(name: str, part: int, service: Service) -> None:
    situation = SITUATIONS[name]
    env = {"REMORA_STATE_DIR": service.env["REMORA_STATE_DIR"]} if name in LIVE else {}
    env["NOMAD_ADDR"] = "http://127.0.0.1:1"
    wrong = {}
    for command in share(name, part):
        status, said = run(words_of(command, situation), situation, env)
        if status not in (0, 1) or any(word in said for word in NEVER):
            wrong[command] = (status, said[-600:])
    assert not wrong, "\n".join(f"{command}: {status}\n{said}" for command, (status, said) in wrong.items())


def test_every_command_was_tried() -> None:
    assert {"mls", "mput", "mjob create", "remora up", "remora cluster render", "remora key ls"} <= set(COMMANDS)
    assert len(COMMANDS) > 50
    assert {command for name in SITUATIONS for command in share(name, 0)} == set(COMMANDS)
    for name in SITUATIONS:
        assert sorted(command for part in range(PARTS) for command in share(name, part)) in (COMMANDS, CLIENTS)


@pytest.mark.parametrize("streams", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_real_start_without_streams_ends_as_it_should(service: Service, streams: str) -> None:
    program = f"{sys.executable} -c 'from cli.main import mput; mput()' ~~/stor/streams"
    ended = subprocess.run(["bash", "-c", f"{program} {streams}"], env=service.env, capture_output=True, input=b"a")
    assert ended.returncode == (1 if "<" in streams else 0)
    assert ended.stderr == (b"mput: standard input is closed\n" if streams == "<&-" else b"")
