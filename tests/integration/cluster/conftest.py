from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

import pytest

from scheduler.records.database import open_database
from tests.support.nomad.fake_scheduler import Node
from tests.support.nomad.operated_nomad import OperatedNomad
from tests.support.nomad.operating import Operator, operating
from tests.support.services.postgres import shared


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Records with a living supervisor, reached with a password."""
    local = shared().create()
    with contextlib.closing(open_database(local)) as database:
        asyncio.run(database.write(lambda c: c.run("insert_supervisor", url="https://n1.example:8090", now=c.now())))
    yield shared().url(local.split("/")[3].split("?")[0])
    shared().drop(local)


@pytest.fixture
def operator(url: str) -> Iterator[Operator]:
    with operating(OperatedNomad(*(Node(name, 8192) for name in ("n1", "n2", "n3"))), url) as running:
        yield running
