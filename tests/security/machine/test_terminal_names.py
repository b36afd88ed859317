"""Names that strangers chose, in every command: on a terminal they command nothing, in a pipe a line is one name.

The commands are found in the command line's own registry. A new one must be given words here.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import pytest

from cli.frame import Lazy
from cli.main import PROGRAMS, run
from tests.support.services.cli_service import Service, gateway
from tests.support.services.forks import import_all
from tests.support.terminal import read_all
from tests.support.variants import variants

ESCAPES = "\x1b]0;owned\x07\x9b31m\x7f\x08\u202e\u2066\u2028\u061c\x85"
SECRET = "/jill/stor/secret"
TREE = "/jill/public/hostile"
HOSTILE = f"{TREE}/{ESCAPES}.txt"
BROKEN = f"{TREE}/a\n{SECRET}"
RETURNED = f"{TREE}/a\r{SECRET}"
# What a progress line and the screen of `remora top` are wiped by: the only control sequences that are ours.
WIPE = re.compile("\r\x1b\\[K|\x1b\\[H\x1b\\[J")
FORBIDDEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
STATE = ["--state-dir", "{state}"]
# The words of every command: {hostile} is an object with an evil name, {tree} the directory with all of them, {job} a
# job with such inputs, {state} has such keys and images, {evil} is an evil text. What would serve for ever gets words
# that it must refuse.
WORDS: dict[str, list[list[str]]] = {
    "mls": [["{tree}"], ["-l", "{tree}"], ["-j", "{tree}"], ["--fulljson", "{hostile}"], ["{tree}/no{evil}"]],
    "mput": [["-f", "/dev/null", "{tree}/no{evil}/x"], ["--progress", "-f", "/etc/passwd", "{tree}/new{evil}"]],
    "mget": [["{broken}\n{secret}"], ["--progress", "-o", "/dev/null", "{hostile}"], ["{tree}"], ["-O", "{tree}/.."],
             ["-r", "--progress", "{tree}", "{state}/got"]],
    "mrm": [["{tree}/no{evil}"], ["-I", "{hostile}"], ["-r", "{tree}/no{evil}"]],
    "mrmdir": [["{tree}/no{evil}"]],
    "mcp": [["{tree}/no{evil}", "{hostile}", "{tree}/../copies"], ["-r", "{tree}", "{tree}/copy{evil}"]],
    "mmv": [["{tree}/no{evil}", "{tree}/x{evil}"]],
    "msync": [["{tree}", "{state}/copy"], ["--json", "{tree}", "{state}/copy"], ["-n", "/no{evil}", "{tree}"]],
    "mdu": [["{tree}"], ["-j", "{tree}"], ["{tree}/no{evil}"]],
    "mmkdir": [["{tree}/no{evil}/x"]],
    "mln": [["{tree}/no{evil}", "{tree}/x{evil}"]],
    "minfo": [["{hostile}"], ["-j", "{hostile}"], ["{tree}/no{evil}"]],
    "mfind": [["{tree}"], ["-j", "{tree}"], ["{tree}/no{evil}"], ["-n", "({evil}", "{tree}"]],
    "mmd5": [["{hostile}", "{broken}", "{returned}", "{broken}\n{secret}"], ["-j", "{hostile}"], ["{tree}/no{evil}"]],
    "msign": [["{hostile}", "{broken}"], ["-m", "{evil}", "{hostile}"], ["--role-tag", "{evil}", "{hostile}"]],
    "mchattr": [["-H", "m-x: {evil}", "{tree}/no{evil}"], ["{tree}/no{evil}", "-H", "{evil}: x"]],
    "mchmod": [["+{evil}", "{tree}/no{evil}"]],
    "mlogin": [["{tree}/no{evil}"], ["no{evil}"], ["-e", "{evil}"]],
    "mjob create": [["-n", "{evil}", "wc"], ["--dry-run", "wc {evil}"], ["-f", "/no{evil}"]],
    "mjob map": [["--dry-run", "wc {evil}", "{hostile}"], ["-o", "/no{evil}/x", "wc", "{hostile}"]],
    "mjob merge": [["-o", "{tree}/x{evil}/", "{tree}/no{evil}"], ["-o", "x{evil}"]],
    "mjob sort": [["-k", "{evil}", "{hostile}"], ["-o", "/no{evil}/x", "{hostile}"]],
    "mjob erase": [["--lines", "{evil}", "{hostile}"], ["{tree}/no{evil}"]],
    "mjob attempts": [["{job}"], ["no{evil}"]],
    "mjob reduce": [
        ["--dry-run", "wc {evil}", "{hostile}"], ["--by", "{evil}", "wc", "{hostile}"],
        ["--pivots", "no{evil}", "wc", "x"],
    ],
    "mjob mapreduce": [
        ["--dry-run", "-m", "wc {evil}", "-r", "wc", "{hostile}"], ["-r", "wc", "--by", "{evil}", "{hostile}"],
    ],
    "mjob suspend": [["no{evil}"]],
    "mjob resume": [["no{evil}"]],
    "mjob complete": [["no{evil}"], ["{job}"]],
    "mjob abort": [["--reason", "{evil}", "no{evil}"]],
    "mjob update": [["--title", "{evil}", "no{evil}"], ["--title", "{evil}", "{job}"]],
    "mjob abort-attempt": [["{job}", "{evil}"], ["no{evil}", "0.0"]],
    "mjob abandon": [["{job}", "{evil}"], ["no{evil}", "0.0"]],
    "mjob stderr": [["{job}", "{evil}"], ["no{evil}"]],
    "mjob input": [["{job}", "{evil}"], ["no{evil}", "0.0"]],
    "mjob addinputs": [["no{evil}"]],
    "mjob close": [["no{evil}"]],
    "mjob get": [["{job}"], ["--json", "{job}"], ["no{evil}"]],
    "mjob watch": [["--json", "{job}"], ["{job}"], ["no{evil}"]],
    "mjob wait": [["{job}"]],
    "mjob cancel": [["no{evil}"]],
    "mjob inputs": [["{job}"], ["--json", "{job}"], ["no{evil}"]],
    "mjob outputs": [["{job}"], ["--json", "{job}"]],
    "mjob errors": [["{job}"], ["no{evil}"]],
    "mjob failures": [["{job}"], ["--json", "{job}"]],
    "mjob list": [["--table"], [], ["-l"], ["-j"], ["-n", "{evil}"], ["--since", "{evil}"]],
    "mjob tasks": [["{job}"], ["--joblog", "{job}"], ["no{evil}"]],
    "mjob logs": [["{job}"], ["{job}", "{evil}"], ["no{evil}"]],
    "mjob cat": [["{job}"], ["{job}", "{evil}"], ["--tag", "--keep-order", "{job}"]],
    "mjob shell": [["no{evil}"], ["{job}", "{evil}"]],
    "mjob replay": [["no{evil}"], ["-C", "{state}/{evil}", "{job}", "{evil}"], ["-C", "{state}/replay", "{job}"]],
    "mjob debug": [["{evil}"], ["-m", "{evil}", "-r", "{evil}"]],
    "mjob rerun": [["--failed", "no{evil}"]],
    "mjob cost": [["{job}"], ["no{evil}"]],
    "mjob share": [["-s", "{job}"], ["-r", "/no{evil}", "{job}"]],
    "mjob delete": [["-f", "no{evil}"]],
    "remora up": [["--state-dir", "/dev/null/{evil}"], ["--login", "{evil}", *STATE, "--port", "0"]],
    "remora agent": [["--url", "{evil}", "--state-dir", "/dev/null/x", "--credential-file", "/no{evil}"]],
    "remora env": [["--state-dir", "/no{evil}"]],
    "mrjob list": [["--all", *STATE], ["-a", "{evil}", *STATE]],
    "mrjob show": [["{evil}", *STATE]],
    "mrjob explain": [["{evil}", *STATE]],
    "mrjob cancel": [["{evil}", *STATE]],
    "mrjob verify": [["{evil}", *STATE]],
    "mrerrors": [["{evil}", *STATE], ["-a", "{evil}", *STATE]],
    "mrjobreport": [["{evil}", *STATE], ["-o", "/no{evil}", "last", *STATE]],
    "remora jobs": [["--all", *STATE], ["-a", "{evil}", *STATE]],
    "remora cancel": [["{evil}", *STATE]],
    "remora usage": [["-a", "{evil}", *STATE], ["--since", "{evil}", *STATE]],
    "remora top": [["-n", "1", *STATE], ["--state-dir", "/no{evil}"]],
    "remora status": [["--state-dir", "/no{evil}"]],
    "remora down": [["--state-dir", "/no{evil}"]],
    "remora logs": [["--state-dir", "/no{evil}"]],
    "remora limits": [["{evil}", *STATE], ["bytes={evil}", *STATE]],
    "remora verify": [["{evil}", *STATE], ["--state-dir", "/no{evil}"]],
    "remora backup": [["/no{evil}/x", *STATE], ["x", "--state-dir", "/no{evil}"]],
    "remora restore": [["/no{evil}", *STATE]],
    "remora install-service": [["--state-dir", "/no{evil}", "--print"]],
    "remora user show": [["{evil}", *STATE], ["jill", *STATE]],
    "remora user disable": [["{evil}", *STATE]],
    "remora user enable": [["{evil}", *STATE]],
    "remora user add": [["{evil}", *STATE], ["x", "--key", "/no{evil}", *STATE]],
    "remora user ls": [[*STATE], ["--json", *STATE], ["--state-dir", "/no{evil}"]],
    "remora user set": [["{evil}", "--keep-jobs", "7d", *STATE], ["x", "--keep-jobs", "{evil}", *STATE]],
    "remora user revoke": [["{evil}", *STATE]],
    "remora key add": [["jill", "/no{evil}", *STATE]],
    "remora key ls": [["jill", *STATE], ["--json", "jill", *STATE], ["{evil}", *STATE]],
    "remora key rm": [["jill", "{evil}", *STATE]],
    "remora image build-default": [["{evil}", *STATE]],
    "remora image import": [["/no{evil}", "1.0.0", *STATE], ["/tmp", "{evil}", *STATE]],
    "remora image ls": [[*STATE], ["--json", *STATE]],
    "remora image pull": [["{evil}", "1.0.0", *STATE]],
    "remora image rm": [["{evil}", *STATE]],
    "remora image tag": [["{evil}", "1.0.0", *STATE]],
    "remora gateway": [["--database", "{evil}", "--objects", "{evil}"]],
    "remora supervisor": [["--database", "{evil}", "--objects", "{evil}"]],
    "remora cluster ca init": [["/no{evil}/x"]],
    "remora cluster ca issue": [["/no{evil}", "{evil}"]],
    "remora cluster credential": [["{evil}", "--agent-key-file", "/no{evil}"]],
    "remora cluster deploy": [["{evil}"]],
    "remora cluster drain": [["{evil}", "--namespace", "{evil}"]],
    "remora cluster plan": [["{evil}"]],
    "remora cluster render": [["{evil}"], ["--var", "namespace={evil}", "gateway"]],
    "remora cluster rotate-key": [["--namespace", "{evil}"]],
    "remora cluster status": [["--namespace", "{evil}"]],
    "remora doctor": [["--help"]],
    "remora demo": [["--help"]],
    "remora version": [[]],
    "remora completion": [["{evil}"]],
    "remora man": [["{evil}"]],
}  # fmt: skip


@dataclass
class Rig:
    service: Service
    names: dict[str, str]

    def environment(self) -> dict[str, str]:
        keep = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        unreachable = {"NOMAD_ADDR": "nowhere"}
        return {**keep, **unreachable, "HOME": str(self.service.home), "COLUMNS": "1000", "TERM": "xterm"}

    def words(self, template: list[str]) -> list[str]:
        return [word.format(**self.names) for word in template]


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    place = tmp_path_factory.mktemp("names")
    import_all()  # or else every child does
    with gateway(place) as service:
        for path in (HOSTILE, SECRET):
            service.make(os.path.dirname(path))
            service.put(path, b"x")
        for path in (BROKEN, RETURNED):
            parts = path.removeprefix(TREE).split("/")[1:-1]
            for depth in range(len(parts)):
                service.make("/".join([TREE, *parts[: depth + 1]]))
            service.put(path, b"x")
        state = state_of(place)
        yield Rig(service, {
            "hostile": HOSTILE, "tree": TREE, "broken": BROKEN, "returned": RETURNED, "evil": ESCAPES,
            "state": str(state), "secret": SECRET, "job": finished_job(service),
        })  # fmt: skip


def state_of(place: Path) -> Path:
    """The state of a service whose key has an evil comment, and whose image was made of an evil file."""
    from scheduler.providers.images.store import ImageStore
    from scheduler.records import accounts
    from scheduler.service import administration, first_account

    state = place / "state"
    state.mkdir(mode=0o700)
    line = Path(f"{first_account.own_key(place / 'keys')}.pub").read_text().split()
    evil = ESCAPES.replace("\u2028", "").replace("\x85", "")  # which end a line

    def people(c) -> None:
        accounts.create(c, "jill", 1)
        accounts.add_key(c, "jill", f"{line[0]} {line[1]} {evil}")

    administration_database(state)
    administration.change(state, people)

    def fill(root: Path) -> None:
        (root / "bin").mkdir()
        (root / "bin" / "bash").touch()

    ImageStore(state / "images").add("1.0.0", f"/srv/{ESCAPES}\n{SECRET}", fill)
    return state


def administration_database(state: Path) -> None:
    from scheduler.records.database import open_database

    open_database(state / "remora.db").close()


def finished_job(service: Service) -> str:
    """A job that is done and had inputs with evil names, none of which is an object."""
    document = json.dumps({"name": "x", "phases": [{"exec": f"wc {ESCAPES}"}]}).encode()
    from cli.client.jobs import Jobs

    jobs = Jobs(service.session)
    job = jobs.create(document)
    jobs.add_inputs(job, [f"{TREE}/no{ESCAPES}".encode()])
    jobs.end_input(job)
    jobs.wait(job)
    jobs.wait_archived(job)
    return job


def every_command() -> Iterator[str]:
    for program, module in PROGRAMS.items():
        yield from leaves(program, import_module(module).command)


def leaves(path: str, command: object) -> Iterator[str]:
    if isinstance(command, Lazy):
        for name in command._modules:
            yield from leaves(f"{path} {name}", command.get_command(None, name))
    else:
        yield path


def started(rig: Rig, path: str, words: list[str], on_terminal: bool) -> tuple[str, str, int]:
    """Run a command in a child of this process: what is on stdout and stderr (one, on a terminal), and its status."""
    out, out_end = os.openpty() if on_terminal else os.pipe()
    err, err_end = (out, out_end) if on_terminal else os.pipe()
    child = os.fork()
    if child == 0:
        become(rig, path, words, out_end, err_end, on_terminal)
    for end in {out_end, err_end}:
        os.close(end)
    if on_terminal:
        os.write(out, b"n\n\x04")  # to what is asked, and the end of what is read
    shown = {end: read_all(end).decode("utf-8", "surrogateescape") for end in {out, err}}
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    for end in {out, err}:
        os.close(end)
    return shown[out], shown[err], status


def become(rig: Rig, path: str, words: list[str], out: int, err: int, on_terminal: bool) -> None:
    code = 99
    try:
        program, *rest = path.split()
        os.dup2(out if on_terminal else os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(out, 1)
        os.dup2(err, 2)
        os.chdir(rig.service.home)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)  # which ends us; the limit of tests has a handler
        signal.alarm(30)
        os.environ.clear()
        os.environ.update(rig.environment())
        for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", errors="surrogateescape", closefd=False))
        sys.argv = [program, *rest, *words]
        run(program)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


# In a pipe what is said is the same, so that one case a command is enough to see that lines are names.
CASES = {
    True: [(path, template) for path, templates in WORDS.items() for template in templates],
    False: [(path, templates[0]) for path, templates in WORDS.items()],
}


def test_every_command_is_tried() -> None:
    assert sorted(every_command()) == sorted(WORDS)


@pytest.mark.parametrize("on_terminal", variants([True, False]), ids=["terminal", "pipe"])
def test_no_command_shows_a_name_that_commands_or_that_is_two(rig: Rig, on_terminal: bool) -> None:
    wrong = []
    for path, template in CASES[on_terminal]:
        out, err, status = started(rig, path, rig.words(template), on_terminal)
        assert status in (0, 1), (path, template, out, err)
        shown = WIPE.sub("", (out if on_terminal else err).replace("\r\n", "\n"))
        if found := FORBIDDEN.search(shown):
            wrong.append((path, template, shown[max(0, found.start() - 40) : found.end() + 20]))
        if any(line.strip().split("  ")[-1].startswith(SECRET) for line in re.split("[\r\n]", f"{out}\n{err}")):
            wrong.append((path, template, "one name is two lines"))
    assert not wrong


def test_a_name_with_a_line_break_is_left_out_of_a_pipe_with_a_sentence(rig: Rig) -> None:
    out, err, status = started(rig, "mfind", [TREE], on_terminal=False)
    assert status == 1
    assert f"{TREE}/{ESCAPES}.txt" in out.split("\n")
    assert re.fullmatch(
        r'mfind: \d+ names with a line break left out, the first is "/jill/public/hostile/a\\[nr].*"\n', err
    )


def test_names_that_end_in_nul_are_all_there(rig: Rig) -> None:
    out, err, status = started(rig, "mfind", ["-0", TREE], on_terminal=False)
    assert (status, err) == (0, "")
    assert {HOSTILE, BROKEN, RETURNED} <= set(out.split("\0"))


@pytest.mark.parametrize("words", [["--dry-run", "wc"], ["-0", "--dry-run", "wc"]])
def test_a_name_with_a_line_break_is_no_input_and_not_two(rig: Rig, words: list[str]) -> None:
    names = [HOSTILE, RETURNED] if "-0" not in words else [HOSTILE, RETURNED, BROKEN]
    end = "\0" if "-0" in words else "\n"
    done = rig.service.run("mjob", "create", *words, stdin="".join(name + end for name in names).encode())
    assert done.code == 1
    assert "with 1 input from stdin" in done.err
    assert f"mjob create: {len(names) - 1} name" in done.err
