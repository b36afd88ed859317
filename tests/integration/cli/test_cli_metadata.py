"""Checksums, metadata, role tags, signed addresses, empty directories: against a real gateway."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from scheduler.model.credentials.httpsig import PublicKey
from tests.support.services.cli_service import Service, gateway, write_key
from tests.support.services.plain_manta import Reply, manta


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with gateway(tmp_path_factory.mktemp("gateway")) as running:
        yield running


@pytest.fixture
def here(service: Service, request: pytest.FixtureRequest) -> str:
    """A directory of the test's own, by its full name."""
    path = f"/jill/stor/{re.sub(r'[^a-z]+', '-', request.node.name)[:60]}"
    service.make(path)
    return path


def failed(service: Service, *words: str) -> str:
    """What a command that must fail says."""
    result = service.run(*words)
    assert (result.code, result.out) == (1, ""), result
    return result.err


def headers(service: Service, path: str) -> dict[str, str]:
    return json.loads(service.ok("minfo", "-j", path))  # type: ignore[no-any-return]


def test_mmd5_prints_what_md5sum_would(service: Service, here: str) -> None:
    for name in ("b", "a"):
        service.put(f"{here}/{name}", name.encode())
    md5 = {name: hashlib.md5(name.encode(), usedforsecurity=False).hexdigest() for name in "ab"}
    assert service.ok("mmd5", f"{here}/b", f"{here}/a") == f"{md5['b']}  {here}/b\n{md5['a']}  {here}/a\n"
    assert json.loads(service.ok("mmd5", "-j", f"{here}/a")) == {"path": f"{here}/a", "md5": md5["a"]}


def test_mmd5_prints_the_others_after_an_error(service: Service, here: str) -> None:
    service.put(f"{here}/a", b"a")
    result = service.run("mmd5", here, f"{here}/none", f"{here}/a")
    assert (result.code, result.out.count("\n")) == (1, 1)
    assert result.err == (
        f"mmd5: {here}: {here} is a directory\nmmd5: {here}/none: {here}/none was not found\n"
    )  # fmt: skip


def test_mmd5_of_an_object_without_a_checksum_says_so() -> None:
    with manta() as plain:
        plain.replies["HEAD /jill/stor/a"] = [Reply()]
        home = Service(Path("/nonexistent"))
        result = Service.run(home, "mmd5", "/jill/stor/a", env=plain.environ(), cwd="/")
        assert (result.code, result.err) == (1, "mmd5: /jill/stor/a: missing MD5\n")


def test_mrmdir_removes_empty_directories_only(service: Service, here: str) -> None:
    service.ok("mput", "-p", f"{here}/x/y/z", stdin=b"1")
    assert failed(service, "mrmdir", f"{here}/x") == f"mrmdir: DirectoryNotEmptyError: {here}/x is not empty\n"
    assert failed(service, "mrmdir", f"{here}/x/y/z") == f"mrmdir: {here}/x/y/z is not a directory\n"
    service.ok("mrm", f"{here}/x/y/z")
    service.ok("mrmdir", f"{here}/x/y", f"{here}/x")
    assert service.ok("mls", here) == ""
    assert failed(service, "mrmdir", f"{here}/x") == f"mrmdir: ResourceNotFoundError: {here}/x was not found\n"
    assert failed(service, "mrmdir", "-I", here) == "mrmdir: stdin must be a tty when interactive specified\n"


def test_mchattr_replaces_all_metadata_and_nothing_else(service: Service, here: str) -> None:
    service.ok("mput", "-H", "m-old: 1", f"{here}/a", stdin=b"1")
    before = headers(service, f"{here}/a")
    service.ok("mchattr", "-H", "m-colour: deep rød", "-H", "content-type: text/x", f"{here}/a")
    after = headers(service, f"{here}/a")
    assert (after["m-colour"], after["content-type"]) == ("deep rød", "text/x")
    assert "m-old" not in after
    assert (after["etag"], after["content-md5"]) == (before["etag"], before["content-md5"])
    service.ok("mchattr", "-H", "m-colour: red", here)
    assert headers(service, here)["m-colour"] == "red"


def test_mchattr_says_what_is_wrong(service: Service, here: str) -> None:
    assert "ResourceNotFoundError" in failed(service, "mchattr", "-H", "m-a: 1", f"{here}/none")
    assert failed(service, "mchattr", "-H", "m-a", here).endswith('\nheader must be in the form of "[header]: value"\n')
    assert "\nheader content-length is not " in failed(service, "mchattr", "-H", "Content-Length: 5", here)
    assert failed(service, "mchattr", "-H", "m-a: 1\r\nm-b: 2", here).startswith("mchattr: header 'm-a' cannot be sent")


def test_mchmod_of_a_service_without_roles_is_refused_by_name(service: Service, here: str) -> None:
    for operation in ("+writers", "=writers,readers"):
        message = failed(service, "mchmod", "--", operation, here)
        assert message == 'mchmod: InvalidRoleTagError: Role tag "writers" is invalid.\n'
    service.ok("mchmod", "--", "-writers", here)
    assert failed(service, "mchmod", "--", "writers", here).endswith('\noperation should be one of "+", "-" or "="\n')
    assert failed(service, "mchmod", "+writers").endswith("\npath required\n")


@pytest.mark.parametrize(
    ("operation", "sent"), [("+c,a", "a,b,c"), ("-a,x", "b"), ("=x", "x"), ("=", ""), ("-a,b", "")]
)
def test_mchmod_adds_takes_away_and_sets(operation: str, sent: str) -> None:
    with manta() as plain:
        plain.replies["HEAD /jill/stor/a"] = [Reply(headers={"role-tag": "a, b"})]
        plain.replies["PUT /jill/stor/a"] = [Reply(204)]
        Service(Path("/nonexistent")).run("mchmod", "--", operation, "/jill/stor/a", env=plain.environ(), cwd="/")
        assert plain.seen[-1].headers["role-tag"] == sent
        assert "content-length" not in plain.seen[-1].headers


def test_mchmod_without_the_right_to_read_says_so() -> None:
    body = b'{"code":"AuthorizationFailed","message":"no"}'
    with manta() as plain:
        plain.replies["HEAD /j/stor/a"] = [Reply(403)]
        plain.replies["GET /j/stor/a"] = [Reply(403, body)]
        home = Service(Path("/nonexistent"))
        result = home.run("mchmod", "+r", "/j/stor/a", env=plain.environ(), cwd="/")
        assert (result.code, result.err) == (1, "mchmod: getobject access required for mchmod +\n")


def fetch(address: str, method: str = "GET", data: bytes | None = None) -> bytes:
    with urllib.request.urlopen(urllib.request.Request(address, data, method=method), timeout=20) as reply:
        return reply.read()  # type: ignore[no-any-return]


def test_a_signed_address_opens_its_object(service: Service, here: str) -> None:
    service.put(f"{here}/a b'c", b"contents")
    before = int(time.time())
    address = service.ok("msign", f"{here}/a b'c").strip()
    assert fetch(address) == b"contents"
    expires = int(parse_qs(urlsplit(address).query)["expires"][0])
    assert before + 3600 <= expires <= time.time() + 3600
    with pytest.raises(urllib.error.HTTPError) as caught:
        fetch(address, "DELETE")
    assert caught.value.code == 403
    caught.value.close()


def test_a_signed_address_allows_what_was_signed(service: Service, here: str) -> None:
    address = service.ok("msign", "-m", "PUT", "-m", "GET", "-E", "10m", f"{here}/a").strip()
    fetch(address, "PUT", b"put")
    assert fetch(address) == b"put"
    query = parse_qs(urlsplit(address).query)
    assert query["method"] == ["GET,PUT"]
    assert abs(int(query["expires"][0]) - time.time()) <= 600


def test_an_expired_address_opens_nothing(service: Service, here: str) -> None:
    service.put(f"{here}/a", b"1")
    with pytest.raises(urllib.error.HTTPError) as caught:
        fetch(service.ok("msign", "-e", "1000000000", f"{here}/a").strip())
    assert b"request expired" in caught.value.read()
    caught.value.close()


def test_msign_makes_addresses_for_what_is_no_object(service: Service, here: str) -> None:
    def use(*words: str) -> int:
        address = service.ok("msign", "-m", "PUT", *words).strip()
        return httpx.put(address, headers={"m-by": "hand"}, content=iter(())).status_code

    service.put(f"{here}/a b'c", b"signed")
    assert use("--directory", f"{here}/made") == 204
    assert use("--link", f"{here}/a b'c", f"{here}/made/link") == 204
    assert use("--metadata", f"{here}/made/link") == 204
    assert service.ok("mget", "-q", f"{here}/made/link") == "signed"
    assert "m-by: hand" in service.ok("minfo", f"{here}/made/link")
    message = failed(service, "msign", "--directory", "--metadata", f"{here}/x").splitlines()[0]
    assert message == "msign: of --directory, --link and --metadata only one can be specified"


def test_msign_takes_a_key_file_and_an_algorithm(service: Service, here: str, tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", str(tmp_path / "key")], check=True)
    key = PublicKey.parse((tmp_path / "key.pub").read_text())
    address = service.ok("msign", "-f", str(tmp_path / "key"), "-g", "ecdsa-sha512", f"{here}/a").strip()
    query = parse_qs(urlsplit(address).query)
    assert (query["keyId"], query["algorithm"]) == ([f"/jill/keys/{key.md5}"], ["ECDSA-SHA512"])


def test_msign_says_what_is_wrong(service: Service, tmp_path: Path) -> None:
    def message(*words: str) -> str:
        return failed(service, "msign", *words, "~~/stor/a").splitlines()[-1]

    assert message("-m", "get") == "method invalid: get"
    assert message("-e", "5", "-E", "1d") == "msign: -e and -E cannot be specified together"
    assert message("-E", "10") == "msign: invalid expires: 10"
    wrong = "The algorithm RSA-SHA256 could not be used with this key (try ED25519-SHA512)"
    assert message("-g", "rsa-sha256") == f"msign: {wrong}"
    (tmp_path / "no-key").write_text("x")
    assert message("-f", str(tmp_path / "no-key")) == f"msign: {tmp_path}/no-key is no private key: not a private key"
    assert message("-f", str(tmp_path / "none")) == f"msign: {tmp_path}/none: No such file or directory"


def test_msign_without_a_key_says_so() -> None:
    env = {"MANTA_URL": "http://127.0.0.1:1", "MANTA_USER": "jill", "MANTA_NO_AUTH": "true"}
    result = Service(Path("/nonexistent")).run("msign", "/jill/stor/a", env=env, cwd="/")
    assert (result.code, result.err) == (1, "msign: there is no key to sign with: MANTA_KEY_ID is not set\n")


def test_the_passphrase_of_a_key_file_is_the_agents_matter(service: Service, tmp_path: Path) -> None:
    write_key(tmp_path / "key")
    subprocess.run(["ssh-keygen", "-q", "-p", "-N", "secret", "-f", str(tmp_path / "key")], check=True)
    message = failed(service, "msign", "-f", str(tmp_path / "key"), "~~/stor/a")
    assert message == f"msign: {tmp_path}/key is protected by a passphrase: add it to the ssh agent, and give --keyId\n"
