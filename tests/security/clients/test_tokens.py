"""A token ends with the key that it came from, makes no further tokens, and can be ended before its time."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from scheduler.gateway.access.tokens import LIFETIME_MS, Tokens, derived
from scheduler.records import accounts
from scheduler.records.database import Connection
from tests.support.services.gateway import Gateway, error, presign, public_line, running

CODE = "InvalidAuthenticationToken"


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    async with running(tmp_path) as started:
        yield started


async def token(gateway: Gateway) -> dict[str, str]:
    issued = await gateway.request("POST", "/jill/tokens")
    assert issued.status_code == 201
    return {"Authorization": f"Token {issued.json()['token']}"}


async def opens(gateway: Gateway, proof: dict[str, str]) -> bool:
    reply = await gateway.get("/jill/stor", by=None, **proof)
    assert reply.status_code == 200 or error(reply)[:2] == (403, CODE)
    return reply.status_code == 200


async def change(gateway: Gateway, work) -> None:
    """A change a moment after what was given out before, however fast the test is."""
    before = await gateway.context.db.read(lambda c: c.now())
    while await gateway.context.db.read(lambda c: c.now()) == before:
        pass
    await gateway.context.db.write(work)


async def test_nothing_but_a_signed_request_gets_a_token(gateway: Gateway) -> None:
    once = await token(gateway)
    url = presign(gateway.jill, "/jill/tokens", "POST")
    for target, proof in (
        ("/jill/tokens", once),
        ("/jill//tokens/", once),
        ("/jill/%74okens", once),
        (url, {"Host": "example:8081"}),
        ("/jill/tokens", {}),
    ):
        reply = await gateway.request("POST", target, by=None, **proof)
        assert error(reply)[:2] == (403, "AuthorizationFailed"), (target, proof)
    assert await opens(gateway, once)


async def test_a_token_ends_with_its_key_and_does_not_come_back_with_it(gateway: Gateway) -> None:
    proof = await token(gateway)
    other = await gateway.request("POST", "/bob/tokens", by=gateway.bob)
    assert await opens(gateway, proof)
    await change(gateway, lambda c: accounts.remove_key(c, "jill", gateway.jill.fingerprint))
    assert not await opens(gateway, proof)
    reply = await gateway.request("POST", "/jill/tokens", by=None, **proof)
    assert error(reply)[:2] == (403, CODE), "and it gets no other"
    await change(gateway, lambda c: accounts.add_key(c, "jill", public_line(gateway.jill.key)))
    assert not await opens(gateway, proof)
    assert await opens(gateway, await token(gateway))
    proof = {"Authorization": f"Token {other.json()['token']}"}
    assert (await gateway.get("/bob/stor", by=None, **proof)).status_code == 200


async def test_revoking_an_account_ends_its_tokens_and_no_others(gateway: Gateway) -> None:
    proofs = [await token(gateway), await token(gateway)]
    bobs = (await gateway.request("POST", "/bob/tokens", by=gateway.bob)).json()["token"]
    await change(gateway, lambda c: accounts.revoke(c, "jill"))
    assert [await opens(gateway, proof) for proof in proofs] == [False, False]
    assert (await gateway.get("/bob/stor", by=None, Authorization=f"Token {bobs}")).status_code == 200
    assert (await gateway.get("/jill/stor")).status_code == 200
    assert await opens(gateway, await token(gateway))


async def test_a_token_without_a_key_or_of_a_key_that_is_not_there_opens_nothing(gateway: Gateway) -> None:
    tokens, now = Tokens(b"secret"), await gateway.context.db.read(lambda c: c.now())
    for key in (None, "", "aa:bb", gateway.bob.fingerprint.upper()):
        assert not await opens(gateway, {"Authorization": f"Token {tokens.issue('jill', now, key=key)}"})
    foreign = tokens.issue("bob", now, key=gateway.jill.fingerprint)
    assert error(await gateway.get("/bob/stor", by=None, Authorization=f"Token {foreign}"))[1] == CODE


@pytest.mark.parametrize("said", [[], 7, "jill", None, {"job": "x"}, {"login": "jill", "key": 5, "issued": "now"}])
def test_a_note_of_another_shape_is_no_token(said: object) -> None:
    """Only a holder of the secret can write one: another version of the service."""
    forged = Fernet(derived(b"secret")).encrypt(json.dumps(said).encode()).decode()
    assert Tokens(b"secret").verify(forged, 0) is None


def test_a_secret_is_changed_while_both_of_its_keys_are_good() -> None:
    """One key a line: the first signs, all verify, so that processes which are not restarted yet follow."""
    old, new = b"the old key of all", b"the new key of all"
    steps = [old, old + b"\n" + new, new + b"\n" + old + b"\n", new]
    issued = [Tokens(secret).issue("jill", 0, key="aa") for secret in steps]
    accepted = [[Tokens(secret).verify(each, 0) is not None for each in issued] for secret in steps]
    assert accepted == [
        [True, True, False, False],
        [True, True, True, True],
        [True, True, True, True],
        [False, False, True, True],
    ]


def test_a_token_has_an_end() -> None:
    tokens = Tokens(b"secret")
    issued = tokens.issue("jill", 1000, key="aa")
    assert tokens.verify(issued, 1000 + LIFETIME_MS) is not None
    assert tokens.verify(issued, 1001 + LIFETIME_MS) is None


def times_of(c: Connection) -> list[tuple[int, int]]:
    return [
        (key.added, key.revoked) for key in [accounts.find_key(c, "jill", md5) for md5 in accounts.list_keys(c, "jill")]
    ]


async def test_adding_a_key_that_is_there_changes_nothing_about_when(gateway: Gateway) -> None:
    before = await gateway.context.db.read(times_of)
    proof = await token(gateway)
    await change(gateway, lambda c: accounts.add_key(c, "jill", public_line(gateway.jill.key) + " another comment"))
    assert await gateway.context.db.read(times_of) == before
    assert await opens(gateway, proof)
