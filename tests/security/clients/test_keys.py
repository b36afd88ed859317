"""A key that was removed opens nothing, whatever is started afterwards with it among its options."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path

import pytest

from scheduler.records import accounts
from scheduler.service import first_account
from scheduler.service.state import StateDir
from tests.support.services.gateway import KEYS, Signer, public_line
from tests.support.services.records import open_new


async def test_a_key_that_was_removed_does_not_come_back_with_a_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """`remora up --key FILE.pub` is in a unit file, and starts again after every reboot."""
    (tmp_path / "key.pub").write_text(public_line(KEYS["rsa"]))
    key = Signer("jill", KEYS["rsa"]).fingerprint
    db, state = open_new(tmp_path / "db"), StateDir(tmp_path / "state")
    start = partial(first_account.ensure, db, state, "jill", tmp_path / "key.pub", 1)
    try:
        for _ in range(2):
            assert (await start()).key_id == key
            assert list(await db.read(lambda c: accounts.list_keys(c, "jill"))) == [key]
        await db.write(lambda c: accounts.remove_key(c, "jill", key))
        with caplog.at_level(logging.WARNING):
            await start()
        assert await db.read(lambda c: accounts.find_key(c, "jill", key)) is None
        assert "was removed from the account" in caplog.text
        await db.write(lambda c: accounts.add_key(c, "jill", public_line(KEYS["rsa"])))
        await start()
        assert list(await db.read(lambda c: accounts.list_keys(c, "jill"))) == [key]
    finally:
        db.close()
        state.close()
