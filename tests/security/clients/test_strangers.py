"""What a caller without proof learns: nothing about accounts, keys, private names, or how much the service does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from scheduler.gateway.context import Guard
from scheduler.http.operator_access import is_local
from tests.support.services.gateway import DIRECTORY, Gateway, Signer, error, presign, running

PAGE = {"Origin": "http://page", "Access-Control-Request-Method": "GET"}
POLICY = {"access_control_allow_origin": "*", "access_control_allow_methods": "GET, PUT"}


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    async with running(tmp_path) as started:
        yield started


def told(reply: httpx.Response, *names: str) -> tuple[object, ...]:
    """All of an answer that could tell something, without what the caller said itself."""
    text = reply.text
    for name in names:
        text = text.replace(name, "*")
    own = ("date", "x-request-id", "x-response-time", "content-md5", "content-length")
    return reply.status_code, text, sorted(pair for pair in reply.headers.items() if pair[0] not in own)


@pytest.mark.parametrize("path", ["/{}/stor", "/{}/stor/a", "/{}/jobs?state=live", "/{}/tokens", "/{}", "/{}/foo"])
async def test_an_account_that_is_not_there_is_as_closed_as_any_other(gateway: Gateway, path: str) -> None:
    for method in ("GET", "PUT", "POST", "DELETE"):
        there, nowhere = [
            told(await gateway.request(method, path.format(login), b"", by=None), login) for login in ("jill", "carl")
        ]
        assert there == nowhere
        assert there[0] == 403


async def test_a_key_that_is_not_there_is_the_same_whether_or_not_its_account_is(gateway: Gateway) -> None:
    key = Ed25519PrivateKey.generate()
    for login in ("jill", "bob", "jill/sub"):
        known, unknown = [
            told(await gateway.get("/jill/stor", by=Signer(name, key)), name)
            for name in (login, login.replace("jill", "carl").replace("bob", "carl"))
        ]
        assert known == unknown
        for name, answer in ((login, known), (login.replace("jill", "carl"), unknown)):
            url = presign(Signer(name, key), "/jill/stor")
            reply = await gateway.get(url, by=None, Host="example:8081")
            assert error(reply)[1] in str(answer)


async def test_a_preflight_does_not_tell_which_private_names_there_are(gateway: Gateway) -> None:
    await gateway.put("/jill/stor/open", **POLICY, **DIRECTORY)
    await gateway.put("/jill/stor/open/secret", b"x", **POLICY)
    await gateway.put("/jill/stor/open/closed", b"x")
    await gateway.put("/jill/stor/secret", b"x", **POLICY)
    paths = ["/jill/stor/open/secret", "/jill/stor/open/closed", "/jill/stor/open/no", "/jill/stor/open",
             "/jill/stor/secret", "/jill/stor/no", "/jill/stor/no/no", "/carl/stor/no", "/jill/jobs/x"]  # fmt: skip
    for method in ("GET", "PUT", "DELETE"):
        asked = {**PAGE, "Access-Control-Request-Method": method}
        for who in (None, gateway.bob):
            answers = {told(await gateway.request("OPTIONS", path, by=who, **asked)).__repr__() for path in paths}
            assert len(answers) == 1 and "allow" not in answers.pop()


async def test_an_owner_opens_all_private_names_to_pages_by_the_policy_of_their_top(gateway: Gateway) -> None:
    await gateway.put("/jill/stor", **POLICY, **DIRECTORY)
    for path in ("/jill/stor/a", "/jill/stor/no/no", "/jill/stor"):
        reply = await gateway.request("OPTIONS", path, by=None, **PAGE)
        assert reply.headers["Access-Control-Allow-Origin"] == "http://page"
    await gateway.put("/jill/stor/a", b"x")
    got = await gateway.get("/jill/stor/a", Origin="http://page")
    assert (got.status_code, "Access-Control-Allow-Origin" in got.headers) == (200, False), "the entry's own decides"


async def test_who_may_read_a_name_is_told_its_policy(gateway: Gateway) -> None:
    await gateway.put("/jill/stor/a", b"x", **POLICY)
    await gateway.put("/jill/public/a", b"x", **POLICY)
    url = presign(gateway.jill, "/jill/stor/a", "GET,OPTIONS")
    for path, who, more in (
        ("/jill/stor/a", gateway.jill, {}),
        (url, None, {"Host": "example:8081"}),
        ("/jill/public/a", None, {}),
    ):
        reply = await gateway.request("OPTIONS", path, by=who, **PAGE, **more)
        assert reply.headers["Access-Control-Allow-Origin"] == "http://page"


# The service itself.


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Gateway]:
    """A gateway whose operator has a token."""
    async with running(tmp_path, guard=Guard(metrics_token="a token of 22 letters")) as started:
        yield started


async def test_metrics_are_for_this_machine(gateway: Gateway) -> None:
    assert (await gateway.get("/metrics", by=None)).status_code == 200


async def test_metrics_are_for_who_has_the_token_wherever_they_come_from(guarded: Gateway) -> None:
    for proof in (
        "",
        "Bearer",
        "Bearer a token of 22 letter",
        "a token of 22 letters",
        "Token a token of 22 letters",
    ):
        reply = await guarded.get("/metrics", by=None, Authorization=proof)
        assert error(reply) == (403, "AuthorizationFailed", "anonymous is not allowed to access /metrics")
    reply = await guarded.get("/metrics", by=None, Authorization="Bearer a token of 22 letters")
    assert "remora_http_requests_total" in reply.text


@pytest.mark.parametrize("name", ["X-Forwarded-For", "Forwarded", "Via", "X-Real-IP"])
async def test_who_comes_through_a_proxy_is_not_of_this_machine(gateway: Gateway, name: str) -> None:
    assert (await gateway.get("/metrics", by=None, **{name: "127.0.0.1"})).status_code == 403


@pytest.mark.parametrize(
    ("peer", "own", "local"),
    [
        (("127.0.0.1", 5), ("127.0.0.1", 80), True),
        (("127.9.9.9", 5), ("127.0.0.1", 80), True),
        (("::1", 5, 0, 0), ("::1", 80, 0, 0), True),
        (("::ffff:127.0.0.1", 5, 0, 0), ("::ffff:127.0.0.1", 80, 0, 0), True),
        (("10.0.0.5", 5), ("10.0.0.5", 80), True),
        (("fe80::1%eth0", 5, 0, 2), ("fe80::1%eth0", 80, 0, 2), True),
        (("10.0.0.6", 5), ("10.0.0.5", 80), False),
        (("128.0.0.1", 5), ("10.0.0.5", 80), False),
        (("::ffff:10.0.0.6", 5, 0, 0), ("::ffff:10.0.0.5", 80, 0, 0), False),
        (("fe80::2%eth0", 5, 0, 2), ("fe80::1%eth0", 80, 0, 2), False),
        ("", "/run/socket", False),
        (None, None, False),
    ],
)
def test_a_machine_is_told_by_the_two_ends_of_a_connection(peer: object, own: object, local: bool) -> None:
    ends = {"peername": peer, "sockname": own}
    request = SimpleNamespace(transport=SimpleNamespace(get_extra_info=ends.get))
    assert is_local(request) is local  # type: ignore[arg-type]
    assert is_local(SimpleNamespace(transport=None)) is False  # type: ignore[arg-type]


async def test_what_fails_is_told_to_the_operator_only(guarded: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(guarded.context.blobs, "create", full)
    assert (await guarded.get("/healthz", by=None)).json() == {"status": "failing"}
    reply = await guarded.get("/healthz", by=None, Authorization="Bearer a token of 22 letters")
    assert reply.json()["blobs"] == "cannot create a blob: No space left on device"
