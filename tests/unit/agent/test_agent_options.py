"""What an agent is told of the bytes that it shares: each mistake is a sentence that names the option."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from scheduler.agent.options import OptionsError, parse


def told(tmp_path: Path, *words: str, **environment: str) -> argparse.Namespace:
    always = ["--url", "http://gateway:8080", "--state-dir", str(tmp_path), "--node", "n1", "--plain"]
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
        (["--metrics", "9100"], "--metrics: '9100' is not HOST:PORT"),
        (
            ["--metrics-token-file", "{at}/none"],
            "cannot read {at}/none: No such file or directory",
        ),
        (["--metrics-token-file", "{at}/short"], "{at}/short has 5 characters, at least 16 are needed"),
    ],
)
def test_a_mistake_is_a_sentence(words: list[str], why: str, tmp_path: Path) -> None:
    (tmp_path / "short").write_text("12345")
    with pytest.raises(OptionsError) as refused:
        told(tmp_path, *(word.format(at=tmp_path) for word in words))
    assert why.format(at=tmp_path) in str(refused.value)


def test_a_part_of_a_service_does_not_listen_to_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "credential"
    file.write_text("n1.0123")
    words = ["--parent-fd", "0", "--credential-file", str(file)]
    assert told(tmp_path, *words, REMORA_LISTEN="nonsense", REMORA_SLOTS="x").listen is None


@pytest.mark.parametrize(
    ("words", "environment", "why"),
    [
        ([], {}, "--url is missing (or REMORA_URL in the environment)"),
        (["--url", "gateway:8080"], {}, "--url: 'gateway:8080' is not an URL like http://HOST:PORT"),
        (["--url", "http://g"], {}, "--state-dir is missing (or REMORA_STATE_DIR in the environment)"),
        (
            ["--slots", "none", "--state-dir", "."],
            {"REMORA_URL": "http://g"},
            "--slots: 'none' is not a number above 0",
        ),
        (
            [],
            {"REMORA_URL": "http://g", "REMORA_STATE_DIR": ".", "REMORA_PROVIDER": "x"},
            "REMORA_PROVIDER: 'x' is none",
        ),
        (
            ["--url", "https://g", "--state-dir", ".", "--metrics", ":9100"],
            {},
            "--metrics every address is reached from other machines",
        ),
    ],
)
def test_what_is_missing_or_wrong_is_named(words: list[str], environment: dict[str, str], why: str) -> None:
    with pytest.raises(OptionsError) as refused:
        parse(words, environment)
    assert why in str(refused.value)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "the credential of this node is missing: give --credential-file, or REMORA_AGENT_CREDENTIAL"),
        ("n2.0123", "the credential is of node 'n2', but this is node 'n1' (--node)"),
        ("", "the credential is of node '', but this is node 'n1' (--node)"),
    ],
)
def test_the_credential_has_to_be_that_of_the_node(content: str | None, why: str, tmp_path: Path) -> None:
    words = ["--url", "https://g", "--state-dir", str(tmp_path), "--node", "n1"]
    if content is not None:
        (tmp_path / "credential").write_text(content)
        words += ["--credential-file", str(tmp_path / "credential")]
    with pytest.raises(OptionsError) as refused:
        parse(words, {})
    assert why in str(refused.value)


def test_a_credential_that_is_replaced_is_read_anew(tmp_path: Path) -> None:
    file = tmp_path / "credential"
    file.write_text("n1.old\n")
    said = told(tmp_path, "--credential-file", str(file))
    file.write_text("n1.new\n")
    assert said.credential() == "n1.new"
