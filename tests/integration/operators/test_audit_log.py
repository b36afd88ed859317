"""The audit log has who changed and was denied what, and never a secret; the access log has all requests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.services.gateway import KEYS, Signer, public_line
from tests.support.services.objects import client
from tests.support.services.service import Service, serving


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    directory = tmp_path_factory.mktemp("audited")
    with serving(directory / "state", "--access-log", str(directory / "access")) as running:
        yield running


def events(service: Service) -> list[dict[str, object]]:
    return [json.loads(line) for line in (service.state_dir / "audit.log").read_text().splitlines()]


def test_changes_and_denied_requests_are_logged_without_secrets(service: Service):
    line = public_line(KEYS["rsa"])
    bob = Signer("bob", KEYS["rsa"])
    service.text("remora", "user", "add", "bob", "--not-isolated", "--key", "-", stdin=line)
    token = httpx.post(f"{service.url}/bob/tokens", headers=bob.headers()).json()["token"]
    by_token = {"Authorization": f"Token {token}", "x-request-id": "mine"}
    assert httpx.put(f"{service.url}/bob/stor/a?secret=1", content=b"body", headers=by_token).status_code == 204
    with client(service) as session:
        login = session.settings.account
    for _ in range(50):
        assert httpx.get(f"{service.url}/{login}/stor/x", headers=bob.headers()).status_code == 403
    service.text("remora", "user", "set", "bob", "--limit", "jobs=5")
    service.text("remora", "key", "rm", "bob", bob.fingerprint)
    found = events(service)
    by_event = {str(event["event"]): event for event in found}
    assert by_event["account added"]["key"] == bob.fingerprint
    assert by_event["account added"]["by"]
    assert by_event["token"]["account"] == "bob"
    put = by_event["object"]
    assert (put["method"], put["path"], put["proof"], put["request_id"]) == ("PUT", "/bob/stor/a", "token", "mine")
    assert (put["address"], put["key"], put["status"]) == ("127.0.0.1", bob.fingerprint, 204)
    denied = [event for event in found if event["event"] == "denied"]
    assert len(denied) == 10
    assert (denied[0]["account"], denied[0]["code"]) == ("bob", "AuthorizationFailed")
    assert by_event["account set"]["limits"] == "jobs=5"
    assert by_event["key removed"]["key"] == bob.fingerprint
    whole = (service.state_dir / "audit.log").read_text()
    for secret in (token, "secret=1", "Signature", "body", line.split()[1]):
        assert secret not in whole
    access = [json.loads(one) for one in Path(service.state_dir.parent / "access").read_text().splitlines()]
    assert len([one for one in access if one["status"] == 403]) == 50
    assert {"method", "path", "status", "seconds", "route", "address", "request_id"} <= set(access[0])
    assert token not in json.dumps(access)
