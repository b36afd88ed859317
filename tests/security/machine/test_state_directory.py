"""A state directory is believed, so it must not have been put there by another user."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from scheduler.common import private_directory
from scheduler.common.private_directory import NotPrivateError, open_own_file, open_private
from scheduler.service.state import StateDir, StateError, read_info, require_own

OTHER = 12345
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another user")


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """A directory in which all users may make entries, as /tmp."""
    made = tmp_path / "shared"
    made.mkdir()
    made.chmod(0o1777)
    return made


def opened(path: Path, make: bool = True) -> int:
    """The mode of a directory that could be opened."""
    fd = open_private(path, make)
    try:
        return stat.S_IMODE(os.fstat(fd).st_mode)
    finally:
        os.close(fd)


def given_away(path: Path) -> Path:
    os.chown(path, OTHER, OTHER, follow_symlinks=False)
    return path


def test_a_new_directory_is_ours_alone(shared: Path):
    assert opened(shared / "a" / "b" / "state") == 0o700
    assert stat.S_IMODE((shared / "a").stat().st_mode) & 0o022 == 0


def test_a_directory_that_is_not_made_is_missed(shared: Path):
    with pytest.raises(FileNotFoundError):
        opened(shared / "a" / "state", make=False)
    assert not (shared / "a").exists()


def test_an_empty_directory_that_others_could_write_to_is_closed_to_them(shared: Path):
    (shared / "state").mkdir()
    (shared / "state").chmod(0o777)
    assert opened(shared / "state") == 0o700


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o1777])
def test_what_others_could_write_to_is_not_believed(shared: Path, mode: int):
    (shared / "state").mkdir()
    (shared / "state" / "lock").touch()
    (shared / "state").chmod(mode)
    with pytest.raises(NotPrivateError, match=f"others may write to .*state \\(mode {mode:o}\\)"):
        opened(shared / "state")


@root_only
def test_a_directory_of_another_user_is_refused_before_anything_in_it_is_opened(shared: Path):
    state = shared / "state"
    state.mkdir()
    (state / "lock").symlink_to(shared / "made-by-root")
    given_away(state)
    with pytest.raises(StateError, match=r"state belongs to another user: choose one of your own with --state-dir"):
        StateDir(state)
    with pytest.raises(StateError, match="belongs to another user"):
        read_info(state)
    with pytest.raises(StateError, match="belongs to another user"):
        require_own(state)
    assert not (shared / "made-by-root").exists()


@root_only
def test_a_link_of_another_user_is_not_followed(shared: Path):
    ours = shared / "ours"
    ours.mkdir(mode=0o700)
    link = shared / "link"
    link.symlink_to(ours)
    given_away(link)
    for path in (link, link / "state"):
        with pytest.raises(NotPrivateError, match="is a link of another user"):
            opened(path)
    assert list(ours.iterdir()) == []


def test_links_of_ours_are_followed(shared: Path):
    (shared / "disk").mkdir()
    (shared / "absolute").symlink_to(shared / "disk")
    (shared / "relative").symlink_to("../shared/disk")
    (shared / "up").symlink_to("disk/..")
    for number, way in enumerate(["absolute", "relative", "up/disk"]):
        assert opened(shared / way / str(number)) == 0o700
        assert (shared / "disk" / str(number)).is_dir()


def test_a_circle_of_links_ends(shared: Path):
    (shared / "a").symlink_to("b")
    (shared / "b").symlink_to("a")
    with pytest.raises(OSError, match="Too many levels of symbolic links"):
        opened(shared / "a")


@root_only
def test_below_a_directory_of_another_user_nothing_is_private(shared: Path):
    theirs = shared / "theirs"
    theirs.mkdir()
    given_away(theirs)
    with pytest.raises(NotPrivateError, match=f"below .*theirs, which belongs to user {OTHER} and has mode 755"):
        opened(shared / "theirs" / "state")
    assert list(theirs.iterdir()) == []


def test_below_a_directory_that_all_may_change_nothing_is_private(tmp_path: Path):
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(NotPrivateError, match=r"which belongs to user .* and has mode 777"):
        opened(tmp_path / "open" / "state")


@pytest.mark.parametrize("put", [lambda path: path.symlink_to("victim"), lambda path: os.mkfifo(path), Path.mkdir])
def test_only_files_of_ours_are_opened(shared: Path, put: Callable[[Path], object]):
    directory = open_private(shared / "state")
    try:
        put(shared / "state" / "lock")
        with pytest.raises(OSError):
            open_own_file("lock", os.O_RDWR | os.O_CREAT, directory)
    finally:
        os.close(directory)
    assert not (shared / "state" / "victim").exists()


@root_only
def test_root_is_trusted_and_so_is_whoever_is_outside_of_a_user_namespace(monkeypatch: pytest.MonkeyPatch):
    assert (
        private_directory.is_trusted(0)
        and not private_directory.is_trusted(OTHER)
        and not private_directory.is_trusted(65534)
    )
    monkeypatch.setattr(private_directory, "unmapped", lambda: 65534)
    assert private_directory.is_trusted(65534) and not private_directory.is_trusted(OTHER)
