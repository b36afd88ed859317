"""The keys of a sort: their forms, and the sentences for texts that are none, here and in the C tools."""

from __future__ import annotations

import subprocess
from random import Random

import pytest

from datapath import libexec
from scheduler.model import keydef
from scheduler.model.keydef import Key, KeydefError, begins, canonical, check_flags, parse
from tests.support.lines import sort_cases

REFUSED = {
    "2,1x": "x is none of b d f g h i M n r V",
    "1R": "R is none of b d f g h i M n r V",
    "1 ": "  is none of b d f g h i M n r V",
    "1é": "? is none of b d f g h i M n r V",
    "": "it does not begin with the number of a field",
    "n": "it does not begin with the number of a field",
    "-1": "it does not begin with the number of a field",
    "0": "fields count from 1",
    "1,0": "fields count from 1",
    "1.0": "characters count from 1",
    "1.": "no number follows the point",
    "1,2.n": "no number follows the point",
    "1,": "no number of a field follows the comma",
    "1,n": "no number of a field follows the comma",
    "1,2,3": "a second comma",
    "1nM": "n and M exclude each other",
    "1h,2g": "g and h exclude each other",
    "1nd": "n and d exclude each other",
    "1Vn": "n and V exclude each other",
    "1gi": "g and i exclude each other",
}


@pytest.mark.parametrize(("text", "expected"), {
    "1": "1", "1.1": "1", "01.01": "1", "2,2n": "2,2n", "2n,2": "2,2n", "2.1rn,2.0": "2,2nr", "1.3,1r": "1.3,1r",
    "1b,1": "1b,1", "1,1b": "1,1b", "1b,1.2bn": "1b,1.2bn", "3di": "3d", "3Vdf,4.2": "3,4.2dfV", "1,1.00": "1,1",
    "99999999999": "4294967294", f"1,1.{'9' * 5000}": "1,1.4294967294",
}.items())  # fmt: skip
def test_a_key_has_one_canonical_text(text: str, expected: str) -> None:
    assert canonical(text) == expected == canonical(expected)


def test_a_key_has_positions_and_flags() -> None:
    assert parse("2.3b,4.5bnr") == Key(2, 3, 4, 5, frozenset("nr"), skips_start=True, skips_end=True)
    assert parse("2") == Key(2)


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_no_key_is_refused_with_the_reason(text: str) -> None:
    with pytest.raises(KeydefError) as refused:
        parse(text)
    assert str(refused.value) == f'"{text}" is no key: {REFUSED[text]}'


def said_by_c(text: str) -> str:
    """The sentence of msort about a key; empty if it takes it."""
    done = subprocess.run([libexec("msort"), "-k", text], input=b"", capture_output=True, check=False)
    return done.stderr.decode(errors="replace").partition("\n")[0].removeprefix("msort: ")


@pytest.mark.parametrize("text", REFUSED)
def test_the_tools_refuse_it_with_the_same_sentence(text: str) -> None:
    assert said_by_c(text) == f'"{text}" is no key: {REFUSED[text]}'


def test_any_text_is_a_key_for_both_or_for_none() -> None:
    chance = Random(1)
    for _ in range(300):
        text = "".join(chance.choices("0123.,,bdfghiMnrVx", k=chance.randint(1, 7)))
        try:
            assert (canonical(text) and "") == said_by_c(text), text
        except KeydefError as refused:
            assert str(refused) == said_by_c(text)


def test_a_canonical_key_orders_as_the_text_that_it_comes_from() -> None:
    chance = Random(2)
    for _ in range(100):
        text = sort_cases.keydef(chance)
        lines = sort_cases.text(chance, None, "\n", 30)
        printed = [
            subprocess.run([libexec("msort"), "-s", "-k", key], input=lines, capture_output=True, check=True).stdout
            for key in (text, canonical(text))
        ]
        assert printed[0] == printed[1], text


def test_keys_may_be_the_first_ones_of_others() -> None:
    assert begins(["2,2n"], ["2n,2", "1"])
    assert begins([], ["1"])
    assert not begins(["1", "2,2n"], ["1"])
    assert not begins(["1r"], ["1"])


def test_global_flags_are_checked_as_those_of_keys() -> None:
    assert check_flags("rn") == "nr"
    assert check_flags("") == ""
    with pytest.raises(KeydefError, match=r'^"rx" are no flags: x is none of b d f g h i M n r V$'):
        check_flags("rx")
    with pytest.raises(KeydefError, match=r'^"nM" are no flags: n and M exclude each other$'):
        check_flags("nM")


def test_a_long_text_is_cut_in_the_sentence() -> None:
    with pytest.raises(KeydefError) as refused:
        parse("1" + "x" * 5000)
    assert len(str(refused.value)) < 200
    assert keydef.MAX_KEYS == 32
