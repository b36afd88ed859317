"""Every method on every kind of path by every kind of caller, against a table of who may."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from scheduler.gateway.access.tokens import Tokens
from scheduler.gateway.context import Guard
from scheduler.model import batch
from tests.support.services.gateway import DIRECTORY, KEYS, Gateway, Signer, link_to, presign, running, running_jobs
from tests.support.variants import variants

JOB = json.dumps({"phases": [{"exec": "cat"}]}).encode()
JSON = {"Content-Type": "application/json"}
HOST = "example:8081"


@dataclass(frozen=True)
class Ask:
    """A request: what it is, and what it would do if it were permitted."""

    method: str
    path: str
    does: str  # read, public, change, kind (of a PUT, said by a header), batch, jobs, tokens, preflight
    body: bytes | None = None
    headers: tuple[tuple[str, str], ...] = ()


def put(path: str, does: str = "change", **headers: str) -> Ask:
    return Ask("PUT", path, does, b"" if does == "kind" else b"new", tuple(headers.items()))


PRIVATE = ["/jill/stor/a", "/jill/stor/missing", "/jill/stor/d", "/jill/stor", "/jill", "/jill/jobs/{job}",
           "/jill/jobs/{job}/stor", "/jill/reports"]  # fmt: skip
ASKS = [
    *(Ask(method, path, "read") for method in ("GET", "HEAD") for path in PRIVATE),
    *(Ask(method, f"/jill/jobs/{{job}}/live/{what}", "read")
      for method in ("GET", "HEAD") for what in ("status", "in", "out", "fail", "err", "tasks", "usage", "attempts")),
    Ask("GET", "/jill/jobs?state=live", "read"),
    Ask("GET", "/jill/jobs/{job}/live/out?limit=5", "read"),
    Ask("GET", "/jill/stor?limit=1", "read"),
    *(Ask(method, path, "public") for method in ("GET", "HEAD") for path in ("/jill/public", "/jill/public/a")),
    *(put(path) for path in ("/jill/stor/a", "/jill/stor/new", "/jill/public/a", "/jill/public/new",
                             "/jill/jobs/{job}/stor/new", "/jill/stor/missing/x")),
    *(Ask(method, path, "change") for method in ("DELETE", "PATCH", "LINK")
      for path in ("/jill/stor/a", "/jill/public/a", "/jill/stor/d", "/jill/stor/missing")),
    *(Ask("POST", path, "batch", b"", headers)
      for path in ("/jill/stor/a", "/jill/public/a", "/jill/stor/d", "/jill/stor/missing")
      for headers in ((), (("Content-Type", batch.CONTENT_TYPE),))),
    Ask("PUT", "/jill/stor/a?metadata=true", "change", None, (("m-a", "1"),)),
    Ask("PUT", "/jill/public/a?metadata=true", "change", None, (("m-a", "1"),)),
    *(put(f"/jill/{top}/made", "kind", **DIRECTORY) for top in ("stor", "public")),
    *(put(f"/jill/{top}/made", "kind", **link_to("/jill/stor/a")) for top in ("stor", "public")),
    put("/jill/stor/made", "kind", **link_to("/bob/public/a")),
    Ask("POST", "/jill/jobs", "jobs", JOB, tuple(JSON.items())),
    Ask("POST", "/jill/jobs/{job}/live/in", "jobs", b"/jill/stor/a\n"),
    Ask("POST", "/jill/jobs/{job}/live/nothing", "jobs", b""),
    *(Ask("POST", f"/jill/jobs/{{job}}/live/{what}", "jobs", b"")
      for what in ("suspend", "resume", "complete", "update", "attempts/0.0.1/abort", "tasks/0.0/abandon")),
    Ask("POST", "/jill/tokens", "tokens", b""),
    Ask("GET", "/jill/tokens", "tokens"),
    *(Ask("OPTIONS", path, "preflight") for path in ("/jill/stor/a", "/jill/stor/missing", "/jill/public/a", "/jill")),
]  # fmt: skip

# What callers of each kind may do of jill's, beside a preflight.
MAY = {
    "jill signs": {"read", "public", "change", "kind", "batch", "jobs", "tokens"},
    "bob's job": {"public"},
    "anonymous": {"public"},
    "jill's token": {"read", "public", "change", "kind", "batch", "jobs"},
    "jill's job": {"read", "public", "change", "kind", "batch", "jobs"},
    "jill presigned": {"read", "public", "change"},
    "bob signs": {"public"},
    "bob's token": {"public"},
    "bob presigned": {"public"},
}


@dataclass
class Scene:
    gateway: Gateway
    jobs: dict[str, str]  # by login
    tokens: dict[str, str]

    async def ask(self, caller: str, ask: Ask) -> httpx.Response:
        login = "bob" if caller.startswith("bob") else "jill"
        signer = self.gateway.bob if login == "bob" else self.gateway.jill
        path = ask.path.replace("{job}", self.jobs["jill"])
        headers: dict[str, Any] = dict(ask.headers)
        if caller.endswith("presigned"):
            path, headers["Host"] = presigned(signer, path, ask.method), HOST
        elif caller.endswith("signs"):
            headers |= signer.headers()
        elif caller != "anonymous":
            headers["Authorization"] = f"Token {self.tokens[caller]}"
        body = no_body() if "metadata" in path else ask.body
        return await self.gateway.http.request(ask.method, self.gateway.url + path, content=body, headers=headers)

    async def restore(self) -> None:
        for top in ("stor", "public"):
            await self.gateway.put(f"/jill/{top}/a", b"jill's own")
            await self.gateway.request("DELETE", f"/jill/{top}/made")
            await self.gateway.request("DELETE", f"/jill/{top}/new")
        await self.gateway.mkdir("/jill/stor/d")


def presigned(signer: Signer, path: str, method: str) -> str:
    path, _, query = path.partition("?")
    more = dict(pair.split("=") for pair in query.split("&")) if query else {}
    return presign(signer, path, method, host=HOST, **more)


async def no_body() -> AsyncIterator[bytes]:
    for nothing in ():
        yield nothing


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with running_jobs(tmp_path) as gateway:
        jobs, tokens = {}, {}
        for login, signer in (("jill", gateway.jill), ("bob", gateway.bob)):
            made = await gateway.request("POST", f"/{login}/jobs", JOB, by=signer, **JSON)
            jobs[login] = made.headers["Location"].rpartition("/")[2]
            issued = await gateway.request("POST", f"/{login}/tokens", by=signer)
            tokens[f"{login}'s token"] = issued.json()["token"]
            tokens[f"{login}'s job"] = Tokens(b"secret").issue(login, gateway.context.clock(), job=jobs[login])
        await gateway.put("/bob/public/a", b"bob's own", by=gateway.bob)
        scene = Scene(gateway, jobs, tokens)
        await scene.restore()
        yield scene


async def state(gateway: Gateway) -> list[Any]:
    def look(c: Any) -> list[tuple[Any, ...]]:
        return [
            tuple(row) for row in c.plain("SELECT uuid, inputs, input_done, cancelled, suspended FROM jobs ORDER BY id")
        ]

    return [await gateway.records(), gateway.blobs(), await gateway.context.db.read(look)]


@pytest.mark.parametrize("caller", variants(MAY, 3))
async def test_a_caller_may_what_its_proof_allows_and_nothing_else(scene: Scene, caller: str) -> None:
    before = await state(scene.gateway)
    for ask in ASKS:
        reply = await scene.ask(caller, ask)
        permitted = ask.does == "preflight" or ask.does in MAY[caller]
        assert (reply.status_code != 403) == permitted, (caller, ask, reply.status_code, reply.text)
        assert reply.status_code < 500, (caller, ask, reply.text)
        if not permitted and ask.method not in ("GET", "HEAD"):
            assert await state(scene.gateway) == before, (caller, ask)
        elif ask.does not in ("read", "public", "preflight"):
            await scene.restore()
            before = await state(scene.gateway)


async def test_a_link_opens_nothing_that_its_maker_may_not_read(scene: Scene) -> None:
    """The source of a link is as much a path of the request as its target, in whatever way it is spelled."""
    before = await scene.gateway.records()
    for location in ("/jill/stor/a", "//jill//stor/a", "/jill/%73tor/a", "/jill/stor/missing", "/nobody/stor/a"):
        for caller in ("bob signs", "bob's token", "bob's job"):
            reply = await scene.ask(caller, put("/bob/stor/l", "kind", **link_to(location)))
            assert (reply.status_code, reply.json()["code"]) == (403, "AuthorizationFailed"), (caller, location)
    for target in ("/bob/public/l", "/jill/public/l"):
        reply = await scene.ask("anonymous", put(target, "kind", **link_to("/jill/public/a")))
        assert reply.json()["code"] == "AuthorizationFailed"
    assert await scene.gateway.records() == before
    for location in ("/jill/public/a", "/bob/public/a"):
        assert (await scene.ask("bob signs", put("/bob/stor/l", "kind", **link_to(location)))).status_code == 204


async def test_a_signature_over_the_date_alone_is_refused_where_the_target_is_required(tmp_path: Path) -> None:
    async with running(tmp_path, guard=Guard(require_signed_target=True)) as gateway:
        refused = await gateway.get("/jill/stor")
        assert refused.json()["message"].endswith("(request-target) was not a signed header")
        for name in ("(request-target)", "request-line"):
            signed = Signer("jill", KEYS["ed25519"]).headers("GET", "/jill/stor", (name, "date"))
            assert (await gateway.get("/jill/stor", by=None, **signed)).status_code == 200
            assert (await gateway.get("/jill/public", by=None, **signed)).status_code == 403
