"""Values on their way to a PostgreSQL server and back: the shortcuts say what the long way says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.records.postgres.values import Row, encode, encode_array

TEXTS = st.text(st.sampled_from('\0\1ab"\\,{}NUL é'), max_size=8)


def test_a_parameter_is_text_or_a_number_and_nothing_else():
    assert [encode(value) for value in (None, "é", 7, True)] == [None, "é".encode(), b"7", b"1"]
    assert encode_array(["a", 'b"', "c\\", ""]) == b'{"a","b\\"","c\\\\",""}'
    assert encode_array([None, 1, True, "NULL"]) == b'{NULL,1,1,"NULL"}'
    for wrong in (1.5, b"x", ["x"]):
        with pytest.raises(TypeError):
            encode(wrong)
        with pytest.raises(TypeError):
            encode_array([wrong])
    with pytest.raises(UnicodeEncodeError):
        encode("\ud800")


@given(
    st.one_of(
        *(
            st.lists(st.one_of(*kinds))
            for kinds in (
                [TEXTS],
                [TEXTS, st.none()],
                [st.integers()],
                [st.integers(), st.none()],
                [TEXTS, st.integers(), st.none()],
            )
        )
    )
)
def test_an_array_is_its_elements_whatever_their_types(values):
    alone = [encode_array([value])[1:-1] for value in values]
    assert encode_array(values) == b"{" + b",".join(alone) + b"}"


@given(TEXTS)
def test_an_element_is_quoted_as_the_server_reads_it(text):
    (element,) = [encode_array([text]).decode()[2:-2]]
    read, rest = "", iter(element)
    for each in rest:
        read += next(rest) if each == "\\" else each
    assert read.encode() == encode(text)


def test_a_row_has_its_values_by_name_by_position_and_in_order():
    row = Row(zip(("b", "a", "c"), (1, None, "x"), strict=True))
    assert (row["b"], row[1], row["c"], row[2]) == (1, None, "x", "x")
    assert (list(row), row.keys(), len(row)) == ([1, None, "x"], ["b", "a", "c"], 3)
    assert dict(row) == {"b": 1, "a": None, "c": "x"}
    with pytest.raises(IndexError):
        row[3]
