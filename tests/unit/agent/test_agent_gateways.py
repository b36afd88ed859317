"""Which gateway an agent tries, and how it learns of others."""

from __future__ import annotations

from pathlib import Path

import pytest

from scheduler.agent.gateways import Gateways
from scheduler.agent.options import urls


def test_one_that_failed_is_tried_last() -> None:
    gateways = Gateways(["http://a:1/", "http://b:1"])
    gateways.failed("http://a:1")
    assert list(gateways) == ["http://b:1", "http://a:1"]


def test_a_file_is_read_again_when_it_changes_and_those_that_stay_keep_their_places(tmp_path: Path) -> None:
    file = tmp_path / "gateways"
    file.write_text("http://a:1\nhttp://b:1\n\n")
    gateways = Gateways(urls(f"@{file}"))
    assert list(gateways) == ["http://a:1", "http://b:1"]
    gateways.failed("http://a:1")
    file.write_text("http://c:1\nhttp://a:1\nhttp://b:1\n")
    assert list(gateways) == ["http://b:1", "http://a:1", "http://c:1"]
    file.write_text("http://c:1\n")
    assert list(gateways) == ["http://c:1"]


@pytest.mark.parametrize("text", ["", "\n \n", "nothing of use", None])
def test_a_file_that_names_none_leaves_those_that_were_named(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "gateways"
    file.write_text("http://a:1")
    gateways = Gateways([f"@{file}"])
    assert list(gateways) == ["http://a:1"]
    if text is None:
        file.unlink()
    else:
        file.write_text(text)
    assert list(gateways) == ["http://a:1"]


def test_a_file_that_is_not_there_yet_names_none(tmp_path: Path) -> None:
    assert list(Gateways([f"@{tmp_path / 'gateways'}"])) == []
