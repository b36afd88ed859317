"""What an agent is told of the bytes that it shares: each mistake is a sentence that names the option."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from scheduler.agent.options import OptionsError, parse


def told(tmp_path: Path, *words: str, **environment: str) -> argparse.Namespace:
    always = ["--url", "http://gateway:8080", "--state-dir", str(tmp_path), "--node", "n1"]
    return parse([*always, *words], {"REMORA_AGENT_CREDENTIAL": "n1.0123", **environment})


def test_a_node_that_shares_objects_says_where_its_intermediates_are_served(tmp_path: Path) -> None:
    said = told(tmp_path, "--objects", str(tmp_path), "--listen", "10.0.0.5:8085", "--cache-mb", "100")
    assert (said.objects, said.listen, said.advertise, said.cache_mb) == (tmp_path, ("10.0.0.5", 8085), None, 100)
    said = told(tmp_path, REMORA_OBJECTS=str(tmp_path), REMORA_LISTEN="[::1]:0", REMORA_ADVERTISE="http://n1:1/")
    assert (said.objects, said.listen, said.advertise) == (tmp_path, ("::1", 0), "http://n1:1")


def test_a_node_that_is_alone_shares_nothing(tmp_path: Path) -> None:
    said = told(tmp_path)
    assert (said.objects, said.listen, said.advertise, said.cache_mb) == (None, None, None, None)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--objects", "{at}/none", "--listen", "h:1"], "--objects: there is no directory {at}/none: is it mounted?"),
        (["--objects", "{at}"], "--objects and --listen go together"),
        (["--listen", "h:1"], "--objects and --listen go together"),
        (["--objects", "{at}", "--listen", "h"], "--listen: 'h' is not HOST:PORT"),
        (["--objects", "{at}", "--listen", "h:65536"], "--listen: 'h:65536' is not HOST:PORT"),
        (["--objects", "{at}", "--listen", ":1"], "say with --advertise URL at which one other agents reach it"),
        (["--objects", "{at}", "--listen", "0.0.0.0:1"], "say with --advertise URL"),
        (["--objects", "{at}", "--listen", "h:1", "--advertise", "h:1"], "--advertise: 'h:1' is not an URL"),
        (["--objects", "{at}", "--listen", "h:1", "--advertise", "http://a,http://b"], "more than one URL"),
        (["--objects", "{at}", "--listen", "h:1", "--cache-mb", "0"], "--cache-mb: '0' is not a number above 0"),
    ],
)
def test_a_mistake_is_a_sentence(words: list[str], why: str, tmp_path: Path) -> None:
    with pytest.raises(OptionsError) as refused:
        told(tmp_path, *(word.format(at=tmp_path) for word in words))
    assert why.format(at=tmp_path) in str(refused.value)


def test_a_part_of_a_service_does_not_listen_to_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "credential"
    file.write_text("n1.0123")
    words = ["--parent-fd", "0", "--credential-file", str(file)]
    assert told(tmp_path, *words, REMORA_LISTEN="nonsense", REMORA_SLOTS="x").listen is None
