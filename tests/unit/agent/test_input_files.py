"""Where objects appear as files, and what happens when names are at odds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from scheduler.agent.attempts.input_files import BusyError, Inputs, place_of


@pytest.fixture
def blob(tmp_path: Path) -> Iterator[int]:
    """A descriptor of a file that stands for a blob."""
    path = tmp_path / "blob-1"
    path.write_bytes(b"data")
    with open(path, "rb") as file:
        yield file.fileno()


@pytest.fixture
def inputs(tmp_path: Path) -> Inputs:
    (tmp_path / "input").mkdir()
    return Inputs(tmp_path / "input")


def test_an_ordinary_name_is_its_own_place() -> None:
    place = place_of("/jill/stor/ä b\n.txt")
    assert (place.path, place.unusual) == ("/jill/stor/ä b\n.txt", False)


@pytest.mark.parametrize(
    "name", ["jill/stor/a", "/jill/../../etc/passwd", "/jill/./a", "/jill//a", "/jill/a\0b", "/jill/"]
)
def test_a_name_that_no_object_can_have_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not the name of an object"):
        place_of(name)


def test_a_long_component_is_cut_to_what_a_file_system_takes() -> None:
    place = place_of("/jill/" + "é" * 200 + "/x")
    assert place.unusual
    assert place.path == "/jill/" + "é" * 125 + "_…/x"
    assert len(place.path.split("/")[2].encode()) <= 255


def test_a_long_path_keeps_its_beginning_and_its_end() -> None:
    name = "/jill/stor/" + "/".join(f"directory-{number:04}" for number in range(200)) + "/leaf"
    place = place_of(name)
    assert place.unusual
    assert len(place.path.encode()) <= 1024
    head, tail = place.path.split("/_…/")
    assert name.startswith(head + "/")
    assert name.endswith("/" + tail)
    assert len(head) > 300
    assert len(tail) > 300


def test_a_file_appears_and_goes_and_its_directory_stays(inputs: Inputs, blob: int) -> None:
    inputs.add("/jill/stor/a", "blob-1", blob)
    assert Path(inputs.root + "/jill/stor/a").read_bytes() == b"data"
    inputs.remove("/jill/stor/a")
    assert list(Path(inputs.root + "/jill/stor").iterdir()) == []


def test_one_object_used_by_two_tasks_stays_until_the_second_has_ended(inputs: Inputs, blob: int) -> None:
    inputs.add("/jill/a", "blob-1", blob)
    inputs.add("/jill/a", "blob-1", blob)
    inputs.remove("/jill/a")
    assert Path(inputs.root + "/jill/a").exists()
    inputs.remove("/jill/a")
    assert not Path(inputs.root + "/jill/a").exists()


@pytest.mark.parametrize(("first", "second"), [("/j/a", "/j/a/b"), ("/j/a/b", "/j/a"), ("/j/a/b/c", "/j/a")])
def test_a_name_that_is_another_tasks_directory_waits_and_then_takes_its_place(
    inputs: Inputs, blob: int, first: str, second: str
) -> None:
    inputs.add(first, "blob-1", blob)
    with pytest.raises(BusyError):
        inputs.add(second, "blob-1", blob)
    assert Path(inputs.root + first).read_bytes() == b"data"
    inputs.remove(first)
    inputs.add(second, "blob-1", blob)
    assert Path(inputs.root + second).read_bytes() == b"data"


def test_another_object_under_the_same_name_waits(inputs: Inputs, blob: int) -> None:
    inputs.add("/j/a", "blob-1", blob)
    with pytest.raises(BusyError):
        inputs.add("/j/a", "", None)
    inputs.remove("/j/a")
    inputs.add("/j/a", "", None)
    assert Path(inputs.root + "/j/a").read_bytes() == b""


def test_a_link_that_a_task_planted_is_not_followed(inputs: Inputs, blob: int, tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    target.write_text("untouched")
    Path(inputs.root + "/leaf").symlink_to(target)
    inputs.add("/leaf", "blob-1", blob)
    assert Path(inputs.root + "/leaf").read_bytes() == b"data"
    assert target.read_text() == "untouched"
