"""Images from a registry, by the distribution API of OCI.

A registry is an OCI layout whose files are fetched one by one: a reference leads to a document, and
from there on every part has a digest and is checked against it. So a dishonest server can only
refuse; it cannot serve other contents than those that the reference's document names. That document
itself is trusted by TLS, or checked too if the reference has a digest. Hence plain HTTP is for a
registry on this machine.

Layers are unpacked as they arrive, without a copy on disk.

Most registries want a token, even for anonymous access: the first refusal names the token server. The registry
decides which server asks for its password, so the password is sent there. A redirect is followed to HTTPS only, and
httpx sends neither tokens nor passwords along to another host.

Example: `python:3.13` is `registry-1.docker.io/v2/library/python/manifests/3.13`, a list of
manifests; the one for this machine names nine layers, at `/v2/library/python/blobs/sha256:…`.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from scheduler.providers.images.sources import MAX_DOCUMENT, Allowance, Readable, unpack_oci
from scheduler.providers.images.store import ImageError

# The defaults for a name without a host, as in Docker.
DEFAULT_HOST, DEFAULT_SERVER = "docker.io", "registry-1.docker.io"
COMPONENT = r"[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*"
REFERENCE = re.compile(
    rf"(?:(?P<host>localhost(?::\d+)?|\[[0-9a-f:]+\](?::\d+)?|[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*(?:\.[A-Za-z0-9-]+|:\d+))/)?"
    rf"(?P<name>{COMPONENT}(?:/{COMPONENT})*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
DOCUMENTS = ", ".join(
    [
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    ]
)
TIMEOUT = httpx.Timeout(60, connect=20)
PARAMETER = re.compile(r'\b(\w+)="([^"]*)"')


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference to an image: registry, repository, and tag or digest."""

    host: str
    name: str
    version: str  # a tag or a digest

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Parse a reference. Raises ImageError."""
        match = REFERENCE.fullmatch(text)
        if match is None:
            raise ImageError(f"{text!r} is no reference to an image, such as registry.example:5000/team/tools:1.2")
        host, name = match["host"] or DEFAULT_HOST, match["name"]
        if host == DEFAULT_HOST:
            host, name = DEFAULT_SERVER, name if "/" in name else f"library/{name}"
        return cls(host, name, match["digest"] or match["tag"] or "latest")

    @property
    def on_this_machine(self) -> bool:
        return is_loopback(httpx.URL(f"http://{self.host}"))


@dataclass(slots=True)
class Body:
    """The rest of an answer's body, as a file."""

    chunks: Iterator[bytes]
    held: bytearray = field(default_factory=bytearray)

    def read(self, size: int) -> bytes:
        while len(self.held) < size and (chunk := next(self.chunks, None)) is not None:
            self.held += chunk
        data = bytes(self.held[:size])
        del self.held[:size]
        return data


class Repository:
    """One repository of a registry, as an OCI layout. `login` is a user's name and password."""

    def __init__(self, reference: Reference, client: httpx.Client, login: tuple[str, str] | None = None) -> None:
        self._reference = reference
        self._client = client
        self._login = login
        self._authorization: dict[str, str] = {}

    def index(self) -> Any:
        """The document of the reference, in the form of an index."""
        with self.manifest(self._reference.version) as body:
            data = body.read(MAX_DOCUMENT)
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        if self._reference.version.startswith("sha256:") and digest != self._reference.version:
            raise ImageError(f"{self._reference.host} gave other contents than those of {self._reference.version}")
        document = json.loads(data)
        return document if "manifests" in document else {"manifests": [{"digest": digest}]}

    @contextmanager
    def manifest(self, digest: str) -> Iterator[Readable]:
        with self._get(f"manifests/{digest}", DOCUMENTS) as body:
            yield body

    @contextmanager
    def blob(self, digest: str) -> Iterator[Readable]:
        with self._get(f"blobs/{digest}", "*/*") as body:
            yield body

    @contextmanager
    def _get(self, path: str, accept: str) -> Iterator[Body]:
        for last_try in (False, True):
            headers = {"accept": accept, "accept-encoding": "identity", **self._authorization}
            with self._client.stream("GET", f"/v2/{self._reference.name}/{path}", headers=headers) as answer:
                if answer.status_code == httpx.codes.OK:
                    yield Body(answer.iter_raw())
                    return
                if last_try or answer.status_code != httpx.codes.UNAUTHORIZED:
                    raise ImageError(self._refusal(answer))
                challenge = answer.headers.get("www-authenticate", "")
            self._authorization = {"authorization": self._authorize(challenge)}

    def _refusal(self, answer: httpx.Response) -> str:
        what = f"{self._reference.name}:{self._reference.version}"
        if answer.status_code == httpx.codes.NOT_FOUND:
            return f"{self._reference.host} has no {what}"
        return f"{self._reference.host} does not give {what}: {answer.status_code} {answer.reason_phrase}"

    def _authorize(self, challenge: str) -> str:
        """The Authorization header that a registry's challenge asks for. Raises ImageError."""
        kind, _, rest = challenge.partition(" ")
        if kind.lower() == "bearer":
            return f"Bearer {self._token(dict(PARAMETER.findall(rest)))}"
        if kind.lower() == "basic" and self._login:
            return basic(self._login)
        raise ImageError(f"{self._reference.host} does not give {self._reference.name} to strangers (try --user)")

    def _token(self, told: dict[str, str]) -> str:
        """A token from the server that a challenge names. Raises ImageError."""
        realm = told.get("realm", "")
        if not realm.startswith("https://") and not (realm.startswith("http://") and self._reference.on_this_machine):
            raise ImageError(f"{self._reference.host} wants a token from a place that is not safe: {realm!r}")
        wanted = {"scope": f"repository:{self._reference.name}:pull"}
        wanted |= {"service": told["service"]} if "service" in told else {}
        headers = {"authorization": basic(self._login)} if self._login else {}
        headers["accept-encoding"] = "identity"
        with self._client.stream("GET", realm, params=wanted, headers=headers) as answer:
            if answer.status_code != httpx.codes.OK:
                raise ImageError(f"no token for {self._reference.name}: {answer.status_code} {answer.reason_phrase}")
            reply = json.loads(Body(answer.iter_bytes()).read(MAX_DOCUMENT))
        return str(reply.get("token") or reply["access_token"])


def basic(login: tuple[str, str]) -> str:
    return f"Basic {base64.b64encode(':'.join(login).encode()).decode()}"


def is_loopback(url: httpx.URL) -> bool:
    try:
        return ipaddress.ip_address(url.host).is_loopback
    except ValueError:
        return url.host == "localhost"


def client_of(reference: Reference, plain: bool, transport: httpx.BaseTransport | None = None) -> httpx.Client:
    """A client that follows redirects of a registry to safe addresses. `transport` is for tests."""

    def check(request: httpx.Request) -> None:
        if request.url.scheme != "https" and not (plain and is_loopback(request.url)):
            raise ImageError(f"{reference.host} sends us to a place that is not safe: {request.url}")

    return httpx.Client(
        base_url=f"{'http' if plain else 'https'}://{reference.host}",
        timeout=TIMEOUT,
        follow_redirects=True,
        trust_env=not plain,  # no proxy for a registry on this machine
        event_hooks={"request": [check]},
        transport=transport,
    )


def pull(
    text: str,
    target: Path,
    plain: bool = False,
    login: tuple[str, str] | None = None,
    allowance: Allowance | None = None,
) -> None:
    """Fill `target` with the image of a reference; `plain`: over HTTP. Raises ImageError."""
    reference = Reference.parse(text)
    if plain and not reference.on_this_machine:
        raise ImageError(f"{reference.host} is not this machine: an image from there takes HTTPS")
    try:
        with client_of(reference, plain) as client:
            unpack_oci(Repository(reference, client, login), target, allowance)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ImageError(f"cannot pull {text}: {str(error) or type(error).__name__}") from error
