"""mjob create --put: local files to an answer by one command, against a whole service."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.services.cli_service import Result, Service, start_remora

COUNT = ("-m", "grep -c ERROR || true", "-r", "awk '{n += $1} END {print n}'")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with start_remora(tmp_path_factory.mktemp("home")) as running:
        yield running


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    root = tmp_path / "logs"
    (root / "sub").mkdir(parents=True)
    for name, text in (("a", "ERROR\nfine\n"), ("none", "fine\n"), ("sub/b", "ERROR\n" * 3), ("empty", "")):
        (root / name).write_text(text)
    return root


def create(service: Service, *words: str, cwd: Path) -> Result:
    return service.run("mjob", "create", *words, cwd=str(cwd))


def jobs(service: Service) -> list[str]:
    return service.ok("mjob", "list").splitlines()


def test_a_directory_goes_to_its_answer_and_is_not_sent_again(service: Service, logs: Path) -> None:
    first = create(service, "-o", "--put", "logs", *COUNT, cwd=logs.parent)
    assert (first.code, first.out) == (0, "4\n")
    assert first.err.startswith("mjob create: 4 stored\nadded 4 inputs to ")
    assert service.ok("mget", "~~/stor/logs/sub/b") == "ERROR\n" * 3
    (logs / "sub/b").write_text("ERROR\n" * 5)
    again = create(service, "-o", "--put", "logs", *COUNT, cwd=logs.parent)
    assert (again.code, again.out) == (0, "6\n")
    assert again.err.startswith("mjob create: 1 stored, 3 there already\n")


def test_files_go_where_it_is_said_and_stdin_is_not_read(service: Service, logs: Path) -> None:
    words = (
        "-q",
        "-o",
        "--keep-order",
        "--put",
        "logs/a",
        "--put",
        "logs/none",
        "--to",
        "~~/stor/new/place",
        "-m",
        "cat",
    )
    result = service.run("mjob", "create", *words, stdin=b"~~/stor/missing\n", cwd=str(logs.parent))
    assert (result.code, result.out, result.err) == (0, "ERROR\nfine\nfine\n", "")
    assert service.ok("mls", "~~/stor/new/place") == "a\nnone\n"


def test_no_job_is_created_unless_every_file_is_stored(service: Service, logs: Path) -> None:
    before = jobs(service)
    missing = create(service, "-o", "--put", "logs/a", "--put", "logs/gone", *COUNT, cwd=logs.parent)
    assert (missing.code, missing.out) == (1, "")
    assert "logs/gone does not exist" in missing.err
    assert missing.err.endswith("mjob create: error: 1 file could not be stored, so no job was created\n")
    (logs.parent / "hollow").mkdir()
    nothing = create(service, "-o", "--put", "hollow", *COUNT, cwd=logs.parent)
    assert (nothing.code, nothing.err.splitlines()[-1]) == (
        1,
        "mjob create: error: there are no files in hollow, so no job was created",
    )
    assert jobs(service) == before


def test_a_name_with_a_line_break_is_stored_and_left_out(service: Service, tmp_path: Path) -> None:
    (tmp_path / "odd").mkdir()
    for name in ("a\nb", "c"):
        (tmp_path / "odd" / name).write_text("1\n")
    result = create(service, "-q", "-o", "--put", "odd", "-m", "cat", cwd=tmp_path)
    assert (result.code, result.out) == (1, "1\n")
    assert "1 name with a line break left out" in result.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--to", "~~/stor"), "--to says where --put stores: say what to store"),
        (("--put", "logs", "--dry-run"), "--dry-run stores nothing: leave --put out"),
        (("--put", "logs", "--to", "/"), ""),
    ],
)
def test_what_makes_no_sense_is_refused(service: Service, logs: Path, words: tuple[str, ...], said: str) -> None:
    result = create(service, *words, *COUNT, cwd=logs.parent)
    assert result.code != 0
    assert said in result.err and "Traceback" not in result.err
