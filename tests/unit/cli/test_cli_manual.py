"""The manual: it is whole, well set, and says what `--help` says."""

from __future__ import annotations

import os
import pty
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.client.problem import Problem
from cli.main import PROGRAMS
from cli.manual import TOOLS, Page, pages, take_apart
from cli.roff import escape, prose, term, typeset
from cli.service.man import command, page_names


@pytest.fixture(scope="module")
def manual() -> dict[str, Page]:
    return {page.name: page for page in pages()}


def test_every_program_sub_command_and_tool_has_a_page(manual: dict[str, Page]) -> None:
    assert {*PROGRAMS, *TOOLS, "mjob-create", "remora-up"} <= set(manual)
    assert len(manual) > 30


def test_every_page_says_what_a_page_should(manual: dict[str, Page]) -> None:
    for page in manual.values():
        assert page.summary, page.name
        assert page.body, page.name
        assert page.options, page.name
        assert page.see, page.name
        assert "-h, --help" in page.options or "--help" in page.options, page.name
        assert all(other in manual for other in page.see), page.name
        assert page.commands or not page.status.startswith("As its"), f"{page.name} does not say its exit status"


def test_clients_name_their_environment(manual: dict[str, Page]) -> None:
    for name in ("mls", "mjob-create", "msign"):
        assert {"MANTA_URL", "MANTA_KEY_ID", "MANTA_NO_AUTH"} <= set(manual[name].environment)
    assert "MANTA_USER" in manual["mpipe"].environment
    assert set(manual["remora-up"].environment) == {"REMORA_STATE_DIR"}


def test_a_help_is_taken_apart_by_its_forms() -> None:
    page = Page("x")
    text = (
        "One\ntwo.\n\n\b\nExamples:\n  x a    one\n\n\b\na  b\n\nInput:\n  pipe   lines,\n         many\n\n"
        "  -p     to do so\n  -q Q   not to,\n         with a word\n\nExit status: 0, or\n1."
    )
    take_apart(page, text)
    assert page.body == ["One two.", ["a  b"], "Input:", {"pipe": "lines, many"}]
    assert page.examples == ["x a    one"]
    assert page.options == {"-p": "to do so", "-q Q": "not to, with a word"}
    assert page.status == "0, or 1."


def test_what_is_to_be_copied_keeps_its_characters() -> None:
    assert (
        escape(r"awk '{print $2 \"\t\"}' ~~/a-b ^^") == r"awk \(aq{print $2 \e\(dq\et\e\(dq}\(aq \(ti\(ti/a\-b \(ha\(ha"
    )
    assert escape("é…") == r"\[u00E9]\[u2026]"
    assert prose("a two-phase job, -o or --cat-outputs") == r"a two-phase job, \fB\-o\fR or \fB\-\-cat\-outputs\fR"
    assert prose(".so /etc/passwd") == r"\&.so /etc/passwd"
    assert term("-f, --file FILE") == r"\fB\-f\fR, \fB\-\-file\fR \fIFILE\fR"


@pytest.mark.skipif(shutil.which("mandoc") is None, reason="mandoc is not installed")
def test_mandoc_finds_no_fault(manual: dict[str, Page], tmp_path: Path) -> None:
    for page in manual.values():
        (tmp_path / f"{page.name}.1").write_text(typeset(page))
    words = ["mandoc", "-T", "lint", "-W", "warning", *map(str, tmp_path.iterdir())]
    done = subprocess.run(words, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
def test_groff_finds_no_fault_and_shows_the_text(manual: dict[str, Page]) -> None:
    words = ["groff", "-man", "-ww", "-T", "utf8", "-P-c", "-P-b", "-P-u"]
    source = "".join(typeset(page) for page in manual.values())
    done = subprocess.run(words, input=source, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    shown = re.sub(r"\s+", " ", done.stdout)
    for example in (
        "mfind -t o ~~/stor | mjob create -o",
        "awk '{print $2 \"\\t\" $1}' | msplit -n 4",
        "mls [OPTIONS]",
    ):
        assert example in shown


def test_words_name_pages(manual: dict[str, Page]) -> None:
    assert page_names(["mls", "mjob", "create", "remora", "user", "add"], manual) == [
        "mls", "mjob-create", "remora-user-add"
    ]  # fmt: skip
    with pytest.raises(Problem, match="there is no page mxx"):
        page_names(["mxx"], manual)


def test_pages_are_written_listed_and_printed(manual: dict[str, Page], tmp_path: Path) -> None:
    run = CliRunner().invoke
    assert run(command, ["--dir", str(tmp_path)]).exit_code == 0
    assert {path.name for path in (tmp_path / "man1").iterdir()} == {f"{name}.1" for name in manual}
    assert run(command, ["mls"]).output == typeset(manual["mls"]) == (tmp_path / "man1/mls.1").read_text()
    assert "\nmjob-create " in run(command, []).output


@pytest.mark.skipif(shutil.which("man") is None, reason="man is not installed")
def test_on_a_terminal_a_page_is_shown(tmp_path: Path) -> None:
    here, there = pty.openpty()
    env = {**os.environ, "MANPAGER": "cat", "TERM": "dumb"}
    script = "from cli.main import remora; remora()"
    process = subprocess.Popen([sys.executable, "-c", script, "man", "mls"], stdout=there, env=env)
    os.close(there)
    shown = b""
    try:
        while piece := os.read(here, 4096):
            shown += piece
    except OSError:  # the other end is closed
        pass
    os.close(here)
    assert process.wait(30) == 0
    assert b"MLS(1)" in shown
