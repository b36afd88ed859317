"""Trees of strangers: what their names, and links that lie in the target, may do to files outside of it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.bulk.local import Target, part_name
from cli.client.problem import Problem
from tests.support.services.cli_service import Service
from tests.support.services.plain_manta import Manta, Reply, manta, md5

NAMES = ["..", ".", "", "../x", "/etc/x", "a/b", "a\0b"]


@pytest.fixture
def hostile() -> Iterator[Manta]:
    """A service whose listing has names that no honest one has."""
    entries = [
        {"type": "object", "name": name, "size": 1, "etag": "e", "contentMD5": md5(b"x")["content-md5"]}
        for name in (*NAMES, "good")
    ]
    with manta() as running:
        directory = {"content-type": "application/x-json-stream; type=directory"}
        running.replies["HEAD /jill/stor/d"] = [Reply(headers=directory)]
        lines = "\n".join(map(json.dumps, entries)).encode()
        running.replies["GET /jill/stor/d"] = [Reply(body=lines, headers=directory)]
        running.replies["GET /jill/stor/d/good"] = [Reply(body=b"x", headers=md5(b"x"))]
        yield running


def test_a_name_of_the_service_is_one_name_in_the_target(hostile: Manta, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    for words in (["mget", "-r", "/jill/stor/d", "here"], ["msync", "/jill/stor/d", "here/synced"]):
        done = Service(tmp_path).run(*words, env=hostile.environ())
        assert done.code == 1
        assert done.err.count("cannot be the name of a file") >= len(NAMES) - 2, done.err
    found = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert found == ["here/d/good", "here/synced/good"]


@pytest.fixture
def target(tmp_path: Path) -> Target:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/file").write_text("mine")
    (tmp_path / "target").mkdir()
    return Target(str(tmp_path / "target"))


def write(target: Target, *parts: str) -> None:
    with target.writing(parts, "v") as file:
        file.write(b"theirs")


def test_no_link_in_the_target_is_written_through(target: Target, tmp_path: Path) -> None:
    (tmp_path / "target/link").symlink_to(tmp_path / "mine")
    (tmp_path / "target/file").symlink_to(tmp_path / "mine/file")
    with pytest.raises(Problem, match="nothing is written there"):
        write(target, "link", "file")
    with pytest.raises(Problem, match="nothing is written there"):
        target.make(("link", "new"))
    with pytest.raises(Problem, match="no regular file"):
        write(target, "file")
    assert {path.name: path.read_text() for path in (tmp_path / "mine").iterdir()} == {"file": "mine"}


@pytest.mark.parametrize("plant", [os.symlink, os.link])
def test_what_poses_as_the_rest_of_a_transfer_is_not_written(target: Target, tmp_path: Path, plant: object) -> None:
    assert callable(plant)
    plant(tmp_path / "mine/file", tmp_path / "target" / part_name("a", "v"))
    with pytest.raises((Problem, OSError)):
        write(target, "a")
    assert (tmp_path / "mine/file").read_text() == "mine"


def test_removal_stays_within_the_target(target: Target, tmp_path: Path) -> None:
    (tmp_path / "target/link").symlink_to(tmp_path / "mine")
    assert list(target.below()) == [("link",)]
    target.remove(("link",))
    assert (tmp_path / "mine/file").exists()
    assert list(target.below()) == []


def test_two_transfers_of_one_object_do_not_meet(target: Target) -> None:
    with target.writing(("a",), "v"), pytest.raises(Problem, match="another command"):
        write(target, "a")
