"""Images: versions and what they mean, and archives of all kinds."""

from __future__ import annotations

import gzip
import os
import tarfile
from pathlib import Path

import pytest
import zstandard

from scheduler.providers.images.sources import fill_from
from scheduler.providers.images.store import ImageError, ImageStore
from tests.support.nodes.images import layer, link, oci

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="NO ARCHIVE IS UNPACKED: that needs root")


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return ImageStore(tmp_path / "images")


def with_bash(root: Path) -> None:
    (root / "bin").mkdir()
    (root / "bin" / "bash").write_text("bash")


def test_the_machine_stands_in_for_what_nobody_imported(store: ImageStore) -> None:
    assert store.resolve("*") == ("16.1.0", None)
    assert store.resolve("13.1.*") == ("13.1.0", None)


def test_an_import_is_what_its_version_means(store: ImageStore) -> None:
    first = store.add("16.1.0", "here", with_bash)
    newer = store.add("17.2.0", "there", with_bash)
    assert store.resolve("16.1.0") == ("16.1.0", first.id)
    assert store.resolve("*") == ("17.2.0", newer.id)
    assert [(image.source, image.versions) for image in store.list()] == [("here", ("16.1.0",)), ("there", ("17.2.0",))]


def test_a_range_that_nothing_is_in_is_told(store: ImageStore) -> None:
    with pytest.raises(ImageError, match=r"no image here has a version in '>=17'"):
        store.resolve(">=17")


def test_an_image_goes_with_its_last_version(store: ImageStore, tmp_path: Path) -> None:
    image = store.add("17.0.0", "here", with_bash)
    store.tag("17.0.0", "17.0.1")
    assert store.remove("17.0.0")
    assert store.resolve("*") == ("17.0.1", image.id)
    assert store.remove("17.0.1")
    assert os.listdir(tmp_path / "images" / "store") == []


def test_an_image_in_use_stays_until_nobody_uses_it(store: ImageStore, tmp_path: Path) -> None:
    image = store.add("17.0.0", "here", with_bash)
    with store.using(image.id) as root:
        assert not store.remove("17.0.0")
        assert (root / "bin" / "bash").exists()
    assert store.prune()
    assert os.listdir(tmp_path / "images" / "store") == []


def test_a_version_moves_to_a_new_image(store: ImageStore) -> None:
    old = store.add("17.0.0", "old", with_bash)
    new = store.add("17.0.0", "new", with_bash)
    assert store.resolve("17") == ("17.0.0", new.id)
    assert old.id not in {image.id for image in store.list()}


@pytest.mark.parametrize("version", ["17", "17.0", "17.0.x", "v17.0.0", "17.0.00", "../x", "17.0.0/..", "1.2.٣"])
def test_a_version_is_three_numbers(store: ImageStore, version: str) -> None:
    with pytest.raises(ImageError, match="is no version"):
        store.add(version, "here", with_bash)


def test_an_image_without_bash_is_none(store: ImageStore, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="has no bash"):
        store.add("17.0.0", "here", lambda root: None)
    assert os.listdir(tmp_path / "images" / "store") == []


def test_a_directory_is_copied(store: ImageStore, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    with_bash(tmp_path / "tree")
    image = store.add("17.0.0", "tree", lambda target: fill_from(tmp_path / "tree", target))
    with store.using(image.id) as root:
        assert (root / "bin" / "bash").read_text() == "bash"


def test_what_is_neither_directory_nor_archive_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="neither a directory nor an archive"):
        fill_from(tmp_path / "nothing", tmp_path)


# -- archives --


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "target").mkdir()
    return tmp_path / "target"


@needs_root
@pytest.mark.parametrize("compress", [bytes, gzip.compress, zstandard.compress])
def test_an_archive_of_a_tree_is_unpacked_whatever_its_compression(tmp_path: Path, target: Path, compress) -> None:
    (tmp_path / "tree").write_bytes(compress(layer(("bin/", ""), ("bin/bash", "bash"))))
    fill_from(tmp_path / "tree", target)
    assert (target / "bin" / "bash").read_text() == "bash"


@needs_root
def test_layers_lie_over_one_another_and_whiteouts_take_away(tmp_path: Path, target: Path) -> None:
    below = layer(("a/", ""), ("a/kept", "1"), ("a/gone", "1"), ("b/", ""), ("b/old", "1"), ("c", "file"))
    above = layer(("a/.wh.gone", ""), ("b/new", "2"), ("b/.wh..wh..opq", ""), ("c/", ""), ("c/inside", "2"))
    fill_from(oci(tmp_path / "image.tar", below, gzip.compress(above)), target)
    found = sorted(str(path.relative_to(target)) for path in target.rglob("*"))
    assert found == ["a", "a/kept", "b", "b/new", "c", "c/inside"]


@needs_root
def test_owners_and_modes_are_kept_and_devices_are_left_out(tmp_path: Path, target: Path) -> None:
    device, owned = tarfile.TarInfo("null"), tarfile.TarInfo("owned")
    device.type, device.devmajor, device.devminor = tarfile.CHRTYPE, 1, 3
    owned.uid, owned.gid, owned.mode, owned.uname = 1234, 4321, 0o4751, "daemon"
    (tmp_path / "tree.tar").write_bytes(layer(device, owned))
    fill_from(tmp_path / "tree.tar", target)
    status = (target / "owned").stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o7777) == (1234, 4321, 0o4751)
    assert os.listdir(target) == ["owned"]


@needs_root
@pytest.mark.parametrize(
    "members",
    [
        [("../../victim", "bad")],
        [("/victim", "bad")],
        [link("out", "{outside}"), ("out/victim", "bad")],
        [link("out", "../../../../../../../../../../{outside}"), ("out/victim", "bad")],
        [link("hard", "{outside}/victim", tarfile.LNKTYPE)],
        [link("out", "{outside}"), ("out/.wh.victim", "")],
        [link("out", "{outside}"), ("out/.wh..wh..opq", "")],
    ],
)
def test_an_archive_reaches_nothing_outside(tmp_path: Path, target: Path, members: list) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "victim").write_text("good")
    for member in members:
        if isinstance(member, tarfile.TarInfo):
            member.linkname = member.linkname.format(outside=outside)
    (tmp_path / "evil.tar").write_bytes(layer(*members))
    try:
        fill_from(tmp_path / "evil.tar", target)
    except ImageError as error:
        assert "cannot be unpacked" in str(error)
    assert (outside / "victim").read_text() == "good"
    assert (outside / "victim").stat().st_nlink == 1
    assert os.listdir(outside) == ["victim"]


@needs_root
def test_a_damaged_archive_is_refused(tmp_path: Path, target: Path) -> None:
    whole = oci(tmp_path / "image.tar", layer(("a", "contents"))).read_bytes()
    (tmp_path / "image.tar").write_bytes(whole.replace(b"contents", b"CONTENTS"))
    with pytest.raises(ImageError, match="the image is damaged"):
        fill_from(tmp_path / "image.tar", target)


@needs_root
def test_what_is_no_archive_is_refused(tmp_path: Path, target: Path) -> None:
    (tmp_path / "text").write_text("hello")
    with pytest.raises(ImageError, match="cannot be unpacked"):
        fill_from(tmp_path / "text", target)
