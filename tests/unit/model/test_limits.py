"""Limits of accounts: words that set them, and how an account's own lie over the service's and the built-in ones."""

from __future__ import annotations

import json

import pytest

from scheduler.model.limits import (
    BUILT_IN,
    NAMES,
    NO_TOTALS,
    TOTAL_NAMES,
    LimitError,
    Totals,
    as_words,
    changed,
    changed_totals,
    merged,
    totals,
)


def test_an_accounts_limits_lie_over_the_services_and_those_over_the_built_in():
    service, own = (
        json.dumps({"jobs": 200, "bytes": 5}),
        json.dumps({"bytes": None, "requests": 7, "of a newer one": 1}),
    )
    found = merged(service, own)
    assert (found.jobs, found.bytes, found.requests, found.inputs) == (200, None, 7, BUILT_IN.inputs)
    assert merged(None, None) is BUILT_IN
    assert tuple(as_words(found)) == NAMES


@pytest.mark.parametrize(
    ("word", "name", "value"),
    [
        ("bytes=10G", "bytes", 10 << 30),
        ("objects=5", "objects", 5),
        ("objects=2K", "objects", 2048),
        ("task-seconds=2h", "task_seconds", 7200),
        ("jobs=none", "jobs", None),
        ("requests=0", "requests", 0),
    ],
)
def test_a_word_sets_a_limit_and_default_takes_it_away(word, name, value):
    document = changed(None, [word])
    assert json.loads(document) == {name: value}
    assert changed(document, [f"{word.partition('=')[0]}=default"]) is None


def test_totals_are_a_part_of_the_services_document_and_leave_accounts_alone():
    document = changed_totals(changed(None, ["jobs=200"]), ["jobs=2000", "bytes=1T", "requests=none"])
    assert totals(document) == Totals(bytes=1 << 40, jobs=2000)
    assert merged(document).jobs == 200
    assert totals(changed(document, ["jobs=default"])) == totals(document)
    assert changed_totals(document, ["jobs=default", "bytes=default", "requests=default"]) == json.dumps({"jobs": 200})
    assert totals(None) == NO_TOTALS
    assert set(TOTAL_NAMES) == set(NAMES) - {"inputs", "task-seconds"}
    with pytest.raises(LimitError, match="NAME is one of bytes, objects, jobs, instances, requests"):
        changed_totals(None, ["inputs=5"])


WRONG = [
    "",
    "bytes",
    "=5",
    "byte=5",
    "bytes=",
    "bytes=-1",
    "bytes=1h",
    "jobs=1.5",
    "task-seconds=1G",
    f"bytes={10**16}",
]


@pytest.mark.parametrize("word", WRONG)
def test_other_words_set_none_and_are_named(word):
    with pytest.raises(LimitError, match=r"sets no limit: NAME=VALUE|is no value of"):
        changed(None, [word])
