"""Plain scripts against bash itself: any words, any variables."""

from __future__ import annotations

import string
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from datapath.plain import plain_environment, plain_words
from tests.support.nodes.lackey_instance import Instance, Mode
from tests.support.nodes.plain_scripts import both_ways

# `cat` prints its own words and variables; all further words are files that it does not find.
SHOW = "cat /proc/self/cmdline /proc/self/environ -- "
LITERAL = st.text(string.ascii_letters + string.digits + "%+,-.:=@^_", min_size=1, max_size=8)
PRINTABLE = "".join(map(chr, range(32, 127)))
QUOTED = st.builds("'{}'".format, st.text(PRINTABLE.replace("'", ""), max_size=8))
DOUBLY = st.builds('"{}"'.format, st.text("".join(c for c in PRINTABLE if c not in '"$`\\!'), max_size=8))
WORDS = st.lists(st.lists(LITERAL | QUOTED | DOUBLY, min_size=1, max_size=3).map("".join), max_size=5)
NAMES = st.sampled_from(["mc_x", "REMORA_X", "TMPDIR", "TAR_OPTIONS", "IFS", "PWD", "SHLVL", "_", "BASHOPTS", "LANG"])
VALUES = st.binary(max_size=12).map(lambda raw: raw.replace(b"\0", b"").decode("utf-8", "surrogateescape"))
VARIABLES = st.dictionaries(NAMES | st.from_regex(r"MANTA_\w{0,3}", fullmatch=True), VALUES, max_size=4)
SLOWLY = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def instance() -> Iterator[Instance]:
    running = Instance(Mode("subreaper"))
    yield running
    running.close()


@SLOWLY
@given(words=WORDS)
def test_words_and_quotes_arrive_as_bash_would_pass_them(instance: Instance, words: list[str]) -> None:
    script = SHOW + " ".join(words)
    assert plain_words(script) is not None
    direct, by_bash = both_ways(instance, script, separator="\0")
    assert direct == by_bash


@SLOWLY
@given(words=WORDS, character=st.characters(max_codepoint=255, exclude_characters="\0"), place=st.integers(0, 40))
def test_what_is_plain_is_no_more_to_bash(instance: Instance, words: list[str], character: str, place: int) -> None:
    text = " ".join(words)
    script = SHOW + text[:place] + character + text[place:]
    if plain_words(script) is not None:
        direct, by_bash = both_ways(instance, script, separator="\0")
        assert direct == by_bash


@SLOWLY
@given(variables=VARIABLES)
@example(variables={"mc_x": "() { :; }"})
def test_variables_arrive_as_bash_would_pass_them(instance: Instance, variables: dict[str, str]) -> None:
    direct, by_bash = both_ways(instance, "env -0", variables, "\0")
    assert direct == by_bash


@given(variables=VARIABLES)
def test_no_variable_that_bash_knows_is_plain(variables: dict[str, str]) -> None:
    plain = all(
        name in ("TMPDIR", "TAR_OPTIONS") or name.startswith(("MANTA_", "mc_", "REMORA_")) for name in variables
    )
    identifiers = all(name.isascii() for name in variables)
    assert plain_environment(variables) == (plain and identifiers)
