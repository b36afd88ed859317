"""Objects of other accounts: private ones are no inputs, no dictionaries, no assets, and nothing to erase.

What is answered does not tell whether a private name exists.
"""

from __future__ import annotations

from typing import Any

import pytest

from scheduler.model.errors import WireError
from scheduler.records import accounts
from scheduler.supervisor.agents.pool_specs import find_assets
from tests.support.operations.running import attempts, content, operation, over, put, result

SECRET, PRIVATE, PUBLIC = "/bob/stor/d/secret", "/bob/stor/d/", "/bob/public/known"
OUTPUT = {"output": {"path": "/jill/stor/merged/"}}
DENIED = [SECRET, PRIVATE, "/bob/stor/none", "/bob/stor/none/", "/bob/stor/"]
BY_LINE = {"reduce_by": ["1"]}
# Each operation that reads, as a document but for its inputs.
READING: dict[str, dict[str, Any]] = {
    "map": {"type": "map", "spec": {"exec": "cat"}},
    "sort": {"type": "sort", "spec": {}},
    "ordered merge": {"type": "merge", "spec": {"mode": "ordered"}, **OUTPUT},
    "unordered merge": {"type": "merge", "spec": {"mode": "unordered"}, **OUTPUT},
    "sorted merge": {"type": "merge", "spec": {"mode": "sorted"}, **OUTPUT},
    "map_reduce": {"type": "map_reduce", "spec": {"reducer": {"exec": "cat"}}},
    "reduce": {"type": "reduce", "spec": {"exec": "cat", **BY_LINE}},
}


@pytest.fixture
async def others(house):
    await house.db.write(lambda c: accounts.create(c, "bob", 0))
    await put(house, SECRET, b"secret\n")
    await put(house, PUBLIC, b"known\n")
    await put(house, "/jill/stor/own", b"own\n")
    return house


async def fails(house, document: dict[str, Any], path: str) -> None:
    """The operation fails with a sentence that names the path, before any attempt."""
    uuid = await operation(house, **document)
    await over(house, uuid, expected="failed")
    error = (await result(house, uuid))["error"]
    assert error == {"code": "AuthorizationError", "message": f'permission denied: "{path}"'}
    assert await attempts(house, uuid) == []
    assert await house.outputs(uuid) == []


@pytest.mark.parametrize("path", DENIED)
@pytest.mark.parametrize("kind", READING)
async def test_private_objects_of_others_are_no_inputs(others, kind, path):
    await fails(others, READING[kind] | {"inputs": ["/jill/stor/own", path]}, path)


@pytest.mark.parametrize("path", [SECRET, PRIVATE])
async def test_private_objects_of_others_are_no_dictionaries(others, path):
    spec = {"exec": "cat", **BY_LINE, "sort_by": ["1"], "foreign": [path], "join_by": ["1"]}
    await fails(others, {"type": "reduce", "spec": spec, "inputs": ["/jill/stor/own"]}, path)


@pytest.mark.parametrize("path", [SECRET, PRIVATE, PUBLIC, "/bob/public/"])
async def test_objects_of_others_are_not_erased(others, path):
    with pytest.raises(WireError, match="is not below /jill"):
        await operation(others, type="erase", spec={}, inputs=[path])
    assert await content(others, "/bob/stor/d") == {"secret": b"secret\n"}
    assert await content(others, "/bob/public") == {"known": b"known\n"}


async def test_a_job_is_told_the_same_of_private_names_whether_they_exist_or_not(others):
    uuid = await others.job({"exec": "cat"})
    given = [SECRET, "/bob/stor/none", "/bob/stor/d", "/nobody/stor/none", "/bob/public/none"]
    await others.give(uuid, given)
    async with others.agent():
        await others.archived(uuid)
    told = {error["input"]: (error["code"], error["message"]) for error in await others.errors(uuid)}
    denied = {name: ("AuthorizationError", f'permission denied: "{name}"') for name in given[:3]}
    missing = {name: ("ResourceNotFoundError", f'no such object: "{name}"') for name in given[3:]}
    assert told == denied | missing


async def test_an_asset_is_refused_with_the_same_status_whether_it_exists_or_not(others):
    told = []
    for asset in (SECRET, "/bob/stor/none"):
        _, problem = await others.db.read(lambda c, asset=asset: find_assets(c, "jill", (asset,)))
        told.append(problem.replace(asset, "it"))
    assert told[0] == told[1]
