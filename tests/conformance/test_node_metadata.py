"""Checksums, metadata, signed addresses, empty directories: both clients say the same."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.conformance.clients import Both
from tests.support.variants import variants

FOREVER = "4000000000"  # when signed addresses expire: the same for both, or they could not be equal


@pytest.fixture(scope="module")
def tree(both: Both) -> str:
    both.ok("mmkdir", "-p", "~~/stor/meta/full/x")
    both.ok("mput", "~~/stor/meta/a b", stdin="a\n")
    both.ok("mput", "~~/stor/meta/é'c", stdin="c\n")
    return "/jill/stor/meta"


def sorted_lines(text: str) -> list[str]:
    return sorted(text.splitlines())


def test_checksums_are_the_same(both: Both, tree: str) -> None:
    both.run("mmd5", f"{tree}/a b", f"{tree}/é'c", shape=sorted_lines)
    assert both.run("mmd5", tree).err == f"mmd5: {tree}: {tree} is a directory\n"


@pytest.mark.parametrize(
    "words",
    variants(["", "-m GET -m PUT", "-m HEAD", "-g rsa-sha512", "--role r1 --role r2,r3"]),
)
def test_addresses_are_signed_to_the_same_bytes(both: Both, tree: str, words: str) -> None:
    paths = f"{tree}/a b", f"{tree}/é'c"  # theirs come in any order
    said = both.run("msign", "-e", FOREVER, *words.split(), *paths, shape=sorted_lines)
    assert said.out.count("signature=") == 2


def test_a_sub_user_signs_in_his_own_name(both: Both, tree: str) -> None:
    said = both.run("msign", "-e", FOREVER, "--subuser", "bob", f"{tree}/a b")  # of several, theirs gets one right
    assert "keyId=%2Fjill%2Fbob%2Fkeys%2F" in said.out


@pytest.mark.parametrize(
    ("command", "words"),
    variants(
        [
            ("mrmdir", ["{tree}/full"]),
            ("mrmdir", ["{tree}/none"]),
            ("mchattr", ["-H", "m-a: 1", "{tree}/none"]),
            ("mchmod", ["--", "+x", "{tree}/a b"]),
            ("mchmod", ["--", "=x,y", "{tree}/a b"]),
        ]
    ),
)
def test_refusals_are_told_in_the_same_words(both: Both, tree: str, command: str, words: list[str]) -> None:
    assert both.run(command, *(word.format(tree=tree) for word in words)).code == 1


def metadata(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(("m-", "content-", "role-tag"))]


@pytest.mark.parametrize("client", [Both.node, Both.ours], ids=["published", "ours"])
def test_metadata_that_one_sets_the_other_sees(both: Both, tree: str, client: Callable[..., object]) -> None:
    client(both, "mchattr", "-H", "m-by: hand", "-H", "content-type: text/x", f"{tree}/a b")
    shown = both.run("minfo", f"{tree}/a b", shape=metadata).out
    assert {"m-by: hand", "content-type: text/x"} < set(shown.splitlines())
    client(both, "mchmod", "--", "-x", f"{tree}/a b")  # takes nothing away, and all other metadata with it
    assert "m-by" not in both.run("minfo", f"{tree}/a b", shape=metadata).out


@pytest.mark.parametrize("client", [Both.node, Both.ours], ids=["published", "ours"])
def test_empty_directories_go(both: Both, tree: str, client: Callable[..., object]) -> None:
    both.ok("mmkdir", f"{tree}/empty")
    client(both, "mrmdir", f"{tree}/empty")
    assert "empty" not in both.run("mls", tree).out
