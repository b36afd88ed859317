"""What a node's credential proves, and what it does not."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.gateway.node_credentials import issue, verify
from scheduler.model.credentials.secrets import keys_of

KEY = "key of the agents"
NODES = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=128)


@given(NODES)
def test_a_credential_proves_the_node_that_it_was_issued_to(node: str) -> None:
    assert verify(KEY, f"Bearer {issue(KEY, node)}") == (node, 0)


@given(NODES, NODES)
def test_it_proves_no_other_node(node: str, other: str) -> None:
    mac = issue(KEY, node).rpartition(".")[2]
    assert verify(KEY, f"Bearer {other}.{mac}") == ((node, 0) if other == node else None)


@given(NODES, st.text())
def test_it_proves_nothing_under_another_key(node: str, key: str) -> None:
    if KEY not in keys_of(key):
        assert verify(key, f"Bearer {issue(KEY, node)}") is None


@given(st.text())
def test_nothing_else_proves_anything(sent: str) -> None:
    assert verify(KEY, sent) is None
    assert verify(KEY, f"Bearer {sent}") is None
    assert verify("", f"Bearer {sent}") is None


@given(NODES, st.integers(1, 999_999_999), st.integers(0, 999_999_999))
def test_a_credential_proves_its_generation_and_no_other(node: str, generation: int, other: int) -> None:
    good = issue(KEY, node, generation)
    assert verify(KEY, f"Bearer {good}") == (node, generation)
    forged = good.replace(f".{generation}-", f".{other}-" if other else ".")
    assert verify(KEY, f"Bearer {forged}") == ((node, generation) if other == generation else None)


def test_the_first_key_signs_and_all_verify() -> None:
    both = "new key\n  old key \n\n"
    assert verify(both, f"Bearer {issue('old key', 'n1')}") == ("n1", 0)
    assert verify("new key", f"Bearer {issue(both, 'n1', 2)}") == ("n1", 2)
    assert verify("old key", f"Bearer {issue(both, 'n1')}") is None


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
