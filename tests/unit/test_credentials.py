"""What a node's credential proves, and what it does not."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.gateway.credentials import issue, verify

KEY = "key of the agents"
NODES = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=128)


@given(NODES)
def test_a_credential_proves_the_node_that_it_was_issued_to(node: str) -> None:
    assert verify(KEY, f"Bearer {issue(KEY, node)}") == node


@given(NODES, NODES)
def test_it_proves_no_other_node(node: str, other: str) -> None:
    mac = issue(KEY, node).rpartition(".")[2]
    assert verify(KEY, f"Bearer {other}.{mac}") == (node if other == node else None)


@given(NODES, st.text())
def test_it_proves_nothing_under_another_key(node: str, key: str) -> None:
    if key != KEY:
        assert verify(key, f"Bearer {issue(KEY, node)}") is None


@given(st.text())
def test_nothing_else_proves_anything(sent: str) -> None:
    assert verify(KEY, sent) is None
    assert verify(KEY, f"Bearer {sent}") is None
    assert verify("", f"Bearer {sent}") is None


def test_whoever_has_the_key_can_make_it_with_any_tool() -> None:
    mac = hmac.new(KEY.encode(), b"n1.example", hashlib.sha256).hexdigest()
    assert issue(KEY, "n1.example") == f"n1.example.{mac}"


@pytest.mark.parametrize("node", ["", "a b", "a\n", "é", "x" * 129])
def test_a_name_that_fits_no_header_gets_none(node: str) -> None:
    with pytest.raises(ValueError, match="cannot be the name of a node"):
        issue(KEY, node)


def test_an_empty_key_issues_nothing() -> None:
    with pytest.raises(ValueError, match="key is empty"):
        issue("", "n1")
