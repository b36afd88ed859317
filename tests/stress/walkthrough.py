"""README, followed by a new user from a fresh clone to the last example, in two terminals.

    python tests/stress/walkthrough.py

An ordinary user is made for it and removed afterwards, so this wants root, and tmux for the terminals. Every command
of "Two commands" (but `./dev test`), "From 500 log files to an answer" and "Use it" is typed as it is printed, and
where README shows what a command prints, that must come; ids may differ. Exit status 0 if all of it was so.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.support.examples import blocks, pattern, shown
from tests.support.fresh_user import FreshUser, fresh_user

SETUP_SECONDS = 600
SECONDS = 60
POLL = 0.2
FILES = 500


class Terminal:
    """A window of tmux, in which a user types."""

    def __init__(self, user: FreshUser, name: str) -> None:
        self._user = user
        self._name = name
        self._lines = 0
        self.tmux("new-session", "-d", "-s", name, "-x", "200", "-y", "50", "-c", str(user.clone), "bash --norc")
        self.tmux("set-option", "-t", name, "history-limit", "20000")
        self.type("PS1='ready> '")

    def tmux(self, *words: str) -> str:
        done = subprocess.run(self._user.command("tmux", *words), cwd=self._user.home, capture_output=True, text=True)
        if done.returncode:
            raise AssertionError(f"tmux {words[0]}: {done.stderr}")
        return done.stdout

    def type(self, line: str) -> None:
        self.tmux("send-keys", "-t", self._name, "-l", line)
        self.tmux("send-keys", "-t", self._name, "Enter")

    @property
    def screen(self) -> str:
        return self.tmux("capture-pane", "-p", "-J", "-S", "-", "-t", self._name).rstrip()

    def interrupt(self) -> None:
        self.tmux("send-keys", "-t", self._name, "C-c")

    def until(self, reached: Callable[[str], bool], seconds: float = SECONDS) -> str:
        deadline = time.monotonic() + seconds
        while not reached(self.screen):
            if time.monotonic() > deadline:
                raise AssertionError(f"this did not come:\n{self.screen[-3000:]}")
            time.sleep(POLL)
        return self.screen

    def do(self, command: str, seconds: float = SECONDS) -> tuple[int, str]:
        """Type a command of one line or more; its exit status and what was printed."""
        self.tmux("clear-history", "-t", self._name)
        self.type("clear")
        time.sleep(POLL)
        for line in command.splitlines():
            self.type(line)
        self.type("echo status=$?")
        said = self.until(lambda screen: bool(re.search(r"^status=\d+$", screen, re.MULTILINE)), seconds)
        status = re.search(r"^status=(\d+)$", said, re.MULTILINE)
        assert status
        printed = [line for line in said[: status.start()].splitlines() if not re.match(r"ready> |> ", line)]
        return int(status[1]), "\n".join(printed) + "\n"


def block(text: str) -> str:
    (found,) = (each for each in blocks() if text in each)
    return found


def without_comments(commands: str) -> str:
    return re.sub(r" +# .*", "", commands)


def follow(user: FreshUser) -> None:
    first, second = Terminal(user, "first"), Terminal(user, "second")
    demo, _ = without_comments(block("./dev demo")).splitlines()
    status, said = first.do(demo, SETUP_SECONDS)
    assert status == 0, said
    expect(block("$ mmkdir ~~/stor/remora-demo"), said, {r"remora\\-demo\\-\d+": r"remora\-demo\-\d+"})

    answer_from_log_files(user, first, second)
    activate, up = without_comments(block("remora up  ")).splitlines()
    assert first.do(activate)[0] == 0
    first.type(up)
    first.until(lambda screen: "remora is up at" in screen)
    for text in ("mmkdir -p ~~/stor/logs", "mmkdir ~~/stor/texts"):
        status, said = second.do(block(text))
        assert status == 0 and "rror" not in said, said
        print(said, end="")
    for one in shown(block("no such column")):
        status, said = second.do(one.command)
        expect(one.output, said, {"/jill/": f"/{user.name}/"})
        assert status == 1, said
    first.interrupt()
    first.until(lambda screen: screen.endswith("ready>"))


def answer_from_log_files(user: FreshUser, first: Terminal, second: Terminal) -> None:
    """Three commands; how long the third took is said."""
    logs = user.clone / "logs"
    logs.mkdir()
    for number in range(FILES):
        (logs / f"{number:03}.log").write_text("a line\n" * 5000 + "an ERROR\n" * (number % 3))
    setup, up, answer = without_comments(block("--put logs")).splitlines()
    assert first.do(setup, SETUP_SECONDS)[0] == 0
    first.type(up)
    first.until(lambda screen: "remora is up at" in screen)
    started = time.monotonic()
    status, said = second.do(answer)
    assert status == 0 and str(sum(number % 3 for number in range(FILES))) in said.splitlines(), said
    print(f"{said}{FILES} log files: {time.monotonic() - started:.1f} s")
    first.interrupt()
    first.until(lambda screen: screen.endswith("ready>"))


def expect(wanted: str, said: str, others: dict[str, str]) -> None:
    """Some lines of what was said are those that are shown, in this order."""
    text = pattern(wanted).pattern
    for old, new in others.items():
        text = re.sub(old, new.replace("\\", r"\\"), text)
    assert re.search(text, said), f"README shows\n{wanted}\nand what came was\n{said}"
    print(said, end="")


def main() -> int:
    with fresh_user() as user:
        try:
            follow(user)
        except AssertionError as wrong:
            print(wrong, file=sys.stderr)
            return 1
    print("all of README is so")
    return 0


if __name__ == "__main__":
    sys.exit(main())
