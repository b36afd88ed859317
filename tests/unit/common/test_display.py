"""JSON that commands no terminal means what it meant."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli import text
from scheduler.common.display import compact
from scheduler.model.names import as_line

OBEYED = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
HOSTILE = st.text(st.sampled_from('a"\\\x1b\x9b\x7f\n\r\t\u202e\u2028\u200dü\U0001f600\U000e0041\ud800'))


@given(HOSTILE | st.text())
def test_json_means_the_same_and_has_nothing_that_a_terminal_obeys(name: str) -> None:
    line = compact({"name": name})
    assert json.loads(line) == {"name": name}
    assert not OBEYED.search(line)


@given(HOSTILE)
def test_json_on_many_lines_does_too(name: str) -> None:
    lines = text.indented({"name": name})
    assert json.loads(lines) == {"name": name}
    assert not OBEYED.search(lines.replace("\n", ""))


@pytest.mark.parametrize("name", ["a b", "ü", "日本", "family 👩\u200d👧", "می\u200cخواهم", "naïve-\u00e9"])
def test_what_people_write_is_shown_as_it_is(name: str) -> None:
    assert text.escape(name) == text.printable(name) == name
    assert compact(name) == f'"{name}"'


@given(HOSTILE)
def test_a_name_is_one_line(name: str) -> None:
    assert not OBEYED.search(text.escape(name))
    assert "\n" not in as_line(name)
    assert "\r" not in as_line(name)
