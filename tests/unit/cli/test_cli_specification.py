"""From words to a job: the two styles of `mjob create`."""

from __future__ import annotations

from typing import Any

import pytest

from cli.client.problem import Problem
from cli.jobs.documents.specification import document, encoded, from_expression, from_options, keyed, left_over


@pytest.mark.parametrize(
    ("words", "phases"),
    [
        ([("map", "wc")], [{"exec": "wc", "type": "map"}]),
        (
            [("map", "wc"), ("reduce", "cat")],
            [{"exec": "wc", "type": "map"}, {"exec": "cat", "type": "reduce"}],
        ),
        # the manual's own example
        (
            [("asset", "~~/stor/a"), ("map", "wc"), ("count", 2), ("reduce", "cat")],
            [
                {"assets": ["/jill/stor/a"], "exec": "wc", "type": "map"},
                {"count": 2, "exec": "cat", "type": "reduce"},
            ],
        ),
        # a count before a map phase is dropped, also for the phase after it
        (
            [("count", 2), ("map", "wc"), ("reduce", "cat")],
            [{"exec": "wc", "type": "map"}, {"exec": "cat", "type": "reduce"}],
        ),
        # properties are used up by the phase that they describe
        (
            [("memory", 256), ("init", "i"), ("map", "a"), ("map", "b"), ("disk", 16), ("image", "*"), ("map", "c")],
            [
                {"exec": "a", "init": "i", "memory": 256, "type": "map"},
                {"exec": "b", "type": "map"},
                {"disk": 16, "exec": "c", "image": "*", "type": "map"},
            ],
        ),
        (
            [("asset", "/p/x"), ("asset", "~~/y//z"), ("map", "a")],
            [{"assets": ["/p/x", "/jill/y/z"], "exec": "a", "type": "map"}],
        ),
        ([("memory", 256)], []),
    ],
)  # fmt: skip
def test_options_describe_the_phase_after_them(words: list[tuple[str, Any]], phases: list[dict[str, Any]]) -> None:
    assert from_options(words, "jill") == phases


def test_keys_of_option_style_are_in_alphabetical_order() -> None:
    words = [
        ("memory", 256),
        ("image", "*"),
        ("init", "i"),
        ("disk", 2),
        ("count", 3),
        ("asset", "/a"),
        ("reduce", "r"),
    ]
    (phase,) = from_options(words, "jill")
    assert list(phase) == ["assets", "count", "disk", "exec", "image", "init", "memory", "type"]


@pytest.mark.parametrize(
    ("expression", "phases"),
    [
        ("wc", [{"exec": "wc", "type": "map"}]),
        ("grep foo", [{"exec": "grep foo", "type": "map"}]),
        ("grep foo ^ wc", [{"exec": "grep foo", "type": "map"}, {"exec": "wc", "type": "map"}]),
        ("wc ^^ cat", [{"exec": "wc", "type": "map"}, {"exec": "cat", "type": "reduce"}]),
        ("^^ cat", [{"exec": "cat", "type": "reduce"}]),
        ("wc ^^^ cat", [{"exec": "wc", "type": "map"}, {"exec": "cat", "type": "reduce", "count": 1}]),
        ("wc ^^^^ cat", [{"exec": "wc", "type": "map"}, {"exec": "cat", "type": "reduce", "count": 2}]),
        ("^ ^ wc ^", [{"exec": "wc", "type": "map"}]),
        ("sed s/^^/x/", [{"exec": "sed s/^^/x/", "type": "map"}]),
        ("", []),
    ],
)
def test_carets_begin_phases(expression: str, phases: list[dict[str, Any]]) -> None:
    assert from_expression(expression.split(), [], "jill") == phases


def test_properties_of_an_expression_describe_all_its_phases() -> None:
    words = ["a", "^^", "b", "^^^^^", "c"]
    properties = [("asset", "~~/stor/x"), ("count", 4), ("memory", 512)]
    phases = from_expression(words, properties, "jill")
    assert phases == [
        {"exec": "a", "memory": 512, "type": "map", "assets": ["/jill/stor/x"]},
        {"exec": "b", "memory": 512, "type": "reduce", "count": 4, "assets": ["/jill/stor/x"]},
        {"exec": "c", "memory": 512, "type": "reduce", "count": 3, "assets": ["/jill/stor/x"]},
    ]
    assert list(phases[1]) == ["exec", "memory", "type", "count", "assets"]


def test_a_count_of_one_is_not_sent() -> None:
    assert from_expression(["^^", "cat"], [("count", 1)], "jill") == [{"exec": "cat", "type": "reduce"}]


def test_the_body_is_compact_utf8() -> None:
    assert encoded(document("", [{"exec": "grep ü", "type": "map"}])) == (
        '{"name":"","phases":[{"exec":"grep ü","type":"map"}]}'.encode()
    )


def test_bytes_that_are_no_text_are_no_job() -> None:
    with pytest.raises(Problem, match="a job is text in UTF-8, which this is not"):
        encoded(document("", [{"exec": b"grep \xff".decode("utf-8", "surrogateescape")}]))


@pytest.mark.parametrize("path", ["a", "stor/a", "~/stor/a", ""])
def test_an_asset_is_a_full_path(path: str) -> None:
    with pytest.raises(Problem, match="is not a valid Manta path"):
        from_options([("asset", path), ("map", "wc")], "jill")


@pytest.mark.parametrize(
    ("words", "lost"),
    [
        ([("memory", 128), ("map", "wc")], []),
        ([("map", "wc"), ("memory", 128)], ["memory"]),
        (
            [("map", "wc"), ("count", 2), ("reduce", "cat"), ("asset", "a"), ("asset", "b"), ("disk", 2)],
            ["asset", "disk"],
        ),
        ([("memory", 128)], []),
    ],
)
def test_what_stands_after_the_last_phase_is_left_over(words, lost):
    assert left_over(words) == lost


def test_a_keyed_reduce_phase_is_an_operation() -> None:
    phases = [{"exec": "cat", "type": "map", "memory": 256}, {"count": 4, "exec": "uniq -c", "type": "reduce"}]
    assert keyed("x", phases, ["1,1"], None) == {
        "name": "x",
        "type": "map_reduce",
        "on_error": "continue",
        "spec": {
            "mapper": {"exec": "cat", "memory": 256},
            "reducer": {"exec": "uniq -c"},
            "reduce_by": ["1,1"],
            "per_object": True,
            "partition_count": 4,
        },
    }
    assert "mapper" not in keyed("", phases[1:], ["1"], "uniq")["spec"]


@pytest.mark.parametrize(
    "phases",
    [
        [{"exec": "a", "type": "map"}],
        [{"exec": "a", "type": "reduce"}, {"exec": "a", "type": "reduce"}],
        [{"exec": "a", "type": "map"}, {"exec": "a", "type": "map"}, {"exec": "b", "type": "reduce"}],
    ],
)
def test_a_key_is_for_one_map_and_one_reduce_phase(phases: list[dict[str, Any]]) -> None:
    with pytest.raises(Problem, match="--by is for one map phase and the reduce phase after it"):
        keyed("", phases, ["1"], None)
