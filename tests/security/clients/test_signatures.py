"""A signature that was found good is remembered, and opens no more than it did; what was refused is not remembered."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from scheduler.gateway.access import authentication
from scheduler.records import accounts
from tests.support.services.gateway import KEYS, Gateway, Signer, error, running


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    async with running(tmp_path) as started:
        yield started


async def test_a_signature_that_was_good_opens_only_what_it_opened(gateway: Gateway) -> None:
    signed = gateway.jill.headers()
    for _ in range(2):
        assert (await gateway.get("/jill/stor", by=None, **signed)).status_code == 200
    earlier = Signer("jill", KEYS["ed25519"], ahead=-60).date()
    assert error(await gateway.get("/jill/stor", by=None, **signed | {"Date": earlier}))[1] == "InvalidSignature"
    other = signed["Authorization"].replace(gateway.jill.fingerprint, Signer("jill", KEYS["rsa"]).fingerprint)
    assert error(await gateway.get("/jill/stor", by=None, **signed | {"Authorization": other}))[1] == "InvalidSignature"
    await gateway.context.db.write(lambda c: accounts.remove_key(c, "jill", gateway.jill.fingerprint))
    assert error(await gateway.get("/jill/stor", by=None, **signed))[1] == "KeyDoesNotExist"


async def test_what_clients_can_send_fills_no_memory_with_signatures(gateway: Gateway) -> None:
    def remembered() -> int:
        return authentication._check_signature.cache_info().currsize

    authentication._check_signature.cache_clear()
    wrong = gateway.jill.headers() | {"Date": Signer("jill", KEYS["ed25519"], ahead=-60).date()}
    assert error(await gateway.get("/jill/stor", by=None, **wrong))[1] == "InvalidSignature"
    target = "/jill/stor?marker=" + "x" * authentication.MAX_KNOWN_BYTES
    signed = gateway.jill.headers("GET", target, ("(request-target)", "date"))
    assert (await gateway.get(target, by=None, **signed)).status_code == 200
    assert remembered() == 0
    assert (await gateway.get("/jill/stor")).status_code == 200
    assert remembered() == 1
