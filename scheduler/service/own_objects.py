"""The objects of the service itself: the program that the tasks of interactive sessions run.

Manta's clients name it in their jobs by a fixed path, below the account of Manta's operators. So each gateway makes
that account and puts the program there when it starts, unless it is there already. The account has no key and takes
none: nothing can sign as it, and its objects are changed by the service only.
"""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path

from datapath import libexec
from scheduler.common.ids import new_blob_id
from scheduler.gateway.context import Context
from scheduler.gateway.storage.batch import md5_of
from scheduler.model.naming import SESSION_PROGRAM
from scheduler.objects import namespace
from scheduler.objects.entries import NewObject
from scheduler.records import accounts
from scheduler.records.accounts import OPERATOR
from scheduler.records.database import Connection

log = logging.getLogger("remora.service")


async def ensure(context: Context) -> None:
    """Make the account and its objects, where they are missing or of another version; a failure is logged."""
    try:
        await _ensure_object(context, SESSION_PROGRAM, libexec("terminal"))
    except Exception:
        log.exception("interactive sessions will not work: their program could not be stored")


async def _ensure_object(context: Context, path: str, file: Path) -> None:
    data = file.read_bytes()
    md5 = md5_of(memoryview(data))

    def wanted(c: Connection) -> bool:
        """Whether the object has to be stored. Creates the account."""
        if not accounts.ensure_operator(c, context.clock()):
            log.warning("interactive sessions may not work: %s is a user's account here", OPERATOR)
            return False
        entry = namespace.lookup(c, path)
        return entry is None or entry.md5 != md5

    if not await context.db.write(wanted):
        return
    new = NewObject(path, new_blob_id(), len(data), md5)
    await context.blobs.store(new.etag, data)
    put = partial(namespace.put_objects, objects=[new], now=context.clock(), by_service=True)
    placed = await context.db.write(put)
    context.blobs.discard([*placed.discard, *(refused.etag for refused, _ in placed.refused)])
