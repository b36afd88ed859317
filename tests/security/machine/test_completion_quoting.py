"""What TAB puts on the command line of a shell is one word, whatever strangers have called their objects.

The shells are real and on terminals. Their question (what click wants to know, in the environment) is answered by
the real completion within this process, so that hundreds of questions do not take hundreds of starts of Python.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from cli.commands.mls import command as mls
from cli.completion.scripts import CLASSES, script
from tests.support.services.cli_service import ROOT, Service, gateway
from tests.support.terminal import Terminal, terminal
from tests.support.variants import variants

NAMES = (
    *("$(touch PWNED)", "`touch PWNED`", "${x:=PWNED}", ";touch PWNED", "&touch PWNED", "|touch PWNED", ">PWNED"),
    *("*", "?x", "[x]", "{a,b}", "a b", "a  b", "it's", 'say "x"', "both\"'", "a\\b", "\\", "#c", "!!", "^x^y"),
    *("$HOME", "~root", "-rf", "a,b", "a:b", "a=b@c", "<x>", "%s%n", "ü", "(x)", "$'\\x41'", "=~"),
)
IN_QUOTES = ("$(touch PWNED)", "`touch PWNED`", "it's", 'say "x"', "both\"'", "\\", "!!", "$HOME")
HIDDEN = ("a\nb", "a\rb", "\x1b[31m", "\x9b31m", "x\x7f", "\u202egpj", "\u2028")
STARTS = {
    "bash": ("bash --norc --noprofile -i", "bind 'set bell-style none'; bind 'set enable-bracketed-paste off'"),
    "zsh": ("zsh -f -i", "autoload -Uz compinit; compinit -u -d $DUMP; unsetopt zle_bracketed_paste beep prompt_cr"),
    "fish": ("fish --no-config -i", "function fish_prompt; end; function fish_greeting; end"),
}
ASK = """
import json, os, socket, sys
line = socket.socket(socket.AF_UNIX)
line.connect(sys.argv[1])
line.sendall(json.dumps({name: os.environ[name] for name in os.environ if "COMP" in name}).encode())
line.shutdown(socket.SHUT_WR)
while data := line.recv(65536):
    os.write(1, data)
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with gateway(tmp_path_factory.mktemp("gateway")) as running:
        for number, name in enumerate((*NAMES, *HIDDEN)):
            running.put(f"~~/stor/{number:02}{name}", b"")
        for number in range(2):
            running.put(f"~~/stor/two $(touch PWNED){number}", b"")
        running.make("~~/stor/d$(touch PWNED)")
        running.put("~~/stor/d$(touch PWNED)/in `touch PWNED`", b"")
        yield running


class Shell:
    """An interactive shell in which `mls` completes, and otherwise writes down its arguments."""

    def __init__(self, name: str, at: Terminal, place: Path) -> None:
        self.name = name
        self._at = at
        self._place = place
        self._count = 1000

    def do(self, line: str) -> None:
        """Type a line, and wait until the next one has been executed. What was refused is wiped from the line."""
        self._count += 1
        self._at.type(f"{line}\n\x15")
        self._at.type(f"expr {self._count} '*' 2\n")
        self._at.read_until(str(self._count * 2).encode())

    def complete(self, typed: str) -> list[str]:
        """The arguments that `mls` gets when TAB and Enter follow what is typed."""
        arguments = self._place / "arguments"
        arguments.unlink(missing_ok=True)
        self.do(f"mls {typed}\t")
        return arguments.read_bytes().decode().split("\0")[:-1] if arguments.exists() else []

    @property
    def attacked(self) -> bool:
        return any((directory / "PWNED").exists() for directory in (self._place, self._place / "here"))


@pytest.fixture(params=STARTS)
def shell(
    request: pytest.FixtureRequest, service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Shell]:
    name: str = request.param
    if shutil.which(name) is None:
        pytest.skip(f"NO COMPLETION IS TRIED IN {name.upper()}: it is not installed")
    monkeypatch.setenv("REMORA_STATE_DIR", str(service.state))
    address = tmp_path / "socket"
    with (
        answering(name, address),
        started(name, f"{sys.executable} -IS {tmp_path}/ask {address}", service, tmp_path) as shell,
    ):
        yield shell


@contextmanager
def answering(shell: str, address: Path) -> Iterator[None]:
    """Answer the questions of completion scripts."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(address))
    listener.listen()

    def serve() -> None:
        with suppress(OSError):
            while True:
                line = listener.accept()[0]
                with line, line.makefile("rb") as question:
                    os.environ.update(json.loads(question.read()))
                    line.sendall(CLASSES[shell](mls, {}, "mls", "_MLS_COMPLETE").complete().encode())

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        listener.close()
        for name in [name for name in os.environ if "COMP" in name]:
            del os.environ[name]


@contextmanager
def started(name: str, completer: str, service: Service, place: Path) -> Iterator[Shell]:
    for directory in ("bin", "here"):
        (place / directory).mkdir()
    (place / "script").write_text(script(name, ["mls"]))
    (place / "ask").write_text(ASK)
    program = place / "bin" / "mls"
    otherwise = f"printf '%s\\0' \"$@\" > {place}/arguments"
    program.write_text(f'#!/bin/sh\n[ -n "$_MLS_COMPLETE" ] && exec {completer} "$@"\n{otherwise}\n')
    program.chmod(0o755)
    env = {
        "PATH": f"{place / 'bin'}:{os.environ['PATH']}", "HOME": str(service.home), "PYTHONPATH": str(ROOT),
        "PS1": "", "TERM": "dumb", "LC_ALL": "C.UTF-8", "COLUMNS": "10000", "DUMP": str(service.home / "zcompdump"),
    }  # fmt: skip
    command, prepare = STARTS[name]
    with terminal(command.split(), env, place / "here") as at:
        shell = Shell(name, at, place)
        shell.do(prepare)
        shell.do(f"source {place}/script")
        yield shell


@pytest.mark.parametrize(("quote", "names"), variants([("", NAMES), ("'", IN_QUOTES), ('"', IN_QUOTES)]))
def test_a_completed_name_is_one_word_of_the_command_line(shell: Shell, quote: str, names: tuple[str, ...]) -> None:
    wrong = {}
    for name in names:
        prefix = f"/jill/stor/{NAMES.index(name):02}"
        if (got := shell.complete(f"{quote}{prefix}")) != [f"{prefix}{name}"]:
            wrong[name] = got
    assert not shell.attacked
    assert not wrong


def test_what_is_typed_may_be_the_beginning_of_an_attack(shell: Shell) -> None:
    no_syntax = ("00$", "06>", "d$")  # in fish, which then keeps the line
    for typed in ("00\\$", "01", "03;", "d", *(no_syntax if shell.name != "fish" else ())):
        shell.complete(f"/jill/stor/{typed}")
    assert not shell.attacked


def test_what_two_names_have_in_common_is_quoted(shell: Shell) -> None:
    got = shell.complete("/jill/stor/two")
    assert not shell.attacked
    assert [word.rstrip("0") for word in got] == ["/jill/stor/two $(touch PWNED)"]


def test_a_directory_is_completed_to_what_is_in_it(shell: Shell) -> None:
    assert shell.complete("/jill/stor/d\t") == ["/jill/stor/d$(touch PWNED)/in `touch PWNED`"]
    assert not shell.attacked


def test_the_account_stays_the_account(shell: Shell) -> None:
    assert shell.complete("~~/stor/00") == [f"~~/stor/00{NAMES[0]}"]
    assert shell.complete("~~/st\td\t") == ["~~/stor/d$(touch PWNED)/in `touch PWNED`"]
    assert not shell.attacked


def test_a_name_with_control_characters_is_no_candidate(shell: Shell) -> None:
    for number in range(len(NAMES), len(NAMES) + len(HIDDEN)):
        assert shell.complete(f"/jill/stor/{number:02}") == [f"/jill/stor/{number:02}"]


def test_the_command_itself_answers_the_shell(service: Service, tmp_path: Path) -> None:
    completer = f"{sys.executable} -c 'from cli.main import mls; mls()'"
    with started("bash", completer, service, tmp_path) as shell:
        assert shell.complete("/jill/stor/00") == [f"/jill/stor/00{NAMES[0]}"]
