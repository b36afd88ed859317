"""HTTP signatures: the proof that the sender of a request has a private key.

The client signs a short text that both sides can derive from the request: its date, or more of its
headers. Everything here is pure: texts in, texts out. The service verifies with these functions and
the command line signs with them, so that both use the same text.

    Authorization: Signature keyId="/jill/keys/c1:3a:…",algorithm="rsa-sha256",headers="date",signature="…"

A key is named by its fingerprint, the MD5 of the SSH public key blob as sixteen hex
octets with colons; people also write the SHA256 form, which never goes over the wire.

The other form is a presigned URL, which contains its own proof: the signature is in the query and
covers the method, the host, the path and every other parameter. So until the URL expires, its
holder can make the signed request and no other.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

HASHES: Mapping[str, type[hashes.HashAlgorithm]] = {
    "sha1": hashes.SHA1,
    "sha256": hashes.SHA256,
    "sha384": hashes.SHA384,
    "sha512": hashes.SHA512,
}
ALGORITHMS = (
    "rsa-sha1",
    "rsa-sha256",
    "rsa-sha384",
    "rsa-sha512",
    "ecdsa-sha256",
    "ecdsa-sha384",
    "ecdsa-sha512",
    "ed25519-sha512",
)
KEY_ID = re.compile(r"/([^/]+)(?:/([^/]+))?/keys/([^/]+)\Z")
PARAMETER = re.compile(r'\s*([A-Za-z]+)="([^"]*)"\s*(?:,|\Z)')
MIN_RSA_BITS = 1024

AnyKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey


class SignatureError(ValueError):
    """An `Authorization` header that cannot be parsed. The text is the service's reply."""


class PublicKey(NamedTuple):
    """A public key with both fingerprints, and its default signature algorithm."""

    key: AnyKey
    md5: str
    sha256: str
    algorithm: str
    comment: str

    @staticmethod
    @lru_cache(maxsize=1024)
    def parse(line: str) -> PublicKey:
        """A one-line OpenSSH public key (`ssh-rsa AAAA… comment`). Raises ValueError with a sentence."""
        fields = line.strip().split(None, 2)
        if len(fields) < 2 or "\n" in line.strip():
            raise ValueError("not an SSH public key: one line like `ssh-ed25519 AAAA… comment` is needed")
        try:
            blob = base64.b64decode(fields[1], validate=True)
            key = load_ssh_public_key(f"{fields[0]} {fields[1]}".encode())
        except (ValueError, UnsupportedAlgorithm) as error:
            raise ValueError(f"not a usable SSH public key: {error}") from None
        comment = fields[2] if len(fields) > 2 else ""
        return PublicKey(checked(key), md5_fingerprint(blob), sha256_fingerprint(blob), default_algorithm(key), comment)

    def has_fingerprint(self, text: str) -> bool:
        """Whether `text` is the key's MD5 (with or without colons or `MD5:`) or `SHA256:…`, as people write them."""
        if text.upper().startswith("SHA256:"):
            return text[7:].rstrip("=") == self.sha256[7:]
        return text.upper().removeprefix("MD5:").replace(":", "").lower() == self.md5.replace(":", "")

    def verify(self, algorithm: str, signature: bytes, text: bytes) -> bool:
        """Whether `signature` is this key's over `text`; False for an algorithm of another kind of key."""
        kind, _, digest = algorithm.lower().partition("-")
        try:
            if kind == "rsa" and isinstance(self.key, rsa.RSAPublicKey):
                self.key.verify(signature, text, padding.PKCS1v15(), HASHES[digest]())
            elif kind == "ecdsa" and isinstance(self.key, ec.EllipticCurvePublicKey):
                self.key.verify(signature, text, ec.ECDSA(HASHES[digest]()))
            elif kind == "ed25519" and isinstance(self.key, ed25519.Ed25519PublicKey):
                self.key.verify(signature, text)
            else:
                return False
        except InvalidSignature:
            return False
        return True


def checked(key: object) -> AnyKey:
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < MIN_RSA_BITS:
        raise ValueError(f"RSA keys below {MIN_RSA_BITS} bits are not accepted")
    if not isinstance(key, AnyKey):
        raise ValueError("only RSA, ECDSA and Ed25519 keys are supported")
    return key


def default_algorithm(key: object) -> str:
    """The algorithm with which a client signs by default. `key` is a public or a private key."""
    if isinstance(key, ec.EllipticCurvePublicKey | ec.EllipticCurvePrivateKey):
        return {256: "ecdsa-sha256", 384: "ecdsa-sha384"}.get(key.curve.key_size, "ecdsa-sha512")
    if isinstance(key, ed25519.Ed25519PublicKey | ed25519.Ed25519PrivateKey):
        return "ed25519-sha512"
    return "rsa-sha256"


def sign(key: object, text: bytes, algorithm: str | None = None) -> bytes:
    """The signature of a private key over `text`. Raises ValueError for a kind of key that is not supported."""
    digest = (algorithm or default_algorithm(key)).lower().partition("-")[2]
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(text, padding.PKCS1v15(), HASHES[digest]())
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(text, ec.ECDSA(HASHES[digest]()))
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(text)
    raise ValueError("only RSA, ECDSA and Ed25519 keys are supported")


def md5_fingerprint(blob: bytes) -> str:
    """`aa:bb:…` of an SSH public key blob: the form on the wire."""
    return hashlib.md5(blob, usedforsecurity=False).digest().hex(":")


def sha256_fingerprint(blob: bytes) -> str:
    """`SHA256:…` as `ssh-keygen -l` prints it."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


# Signed requests.


class Signature(NamedTuple):
    """The fields of an `Authorization: Signature …` header; `headers` is None if it has no such field."""

    key_id: str
    algorithm: str
    headers: tuple[str, ...] | None
    signature: bytes


class KeyId(NamedTuple):
    """The fields of a key id: the account and the fingerprint."""

    account: str
    user: str | None
    fingerprint: str


def parse_authorization(parameters: str) -> Signature:
    """The fields of the text after `Signature `. Raises SignatureError."""
    found: dict[str, str] = {}
    at = 0
    while at < len(parameters):
        match = PARAMETER.match(parameters, at)
        if match is None:
            raise SignatureError("bad param format")
        found[match[1]] = match[2]
        at = match.end()
    for required in ("keyId", "algorithm", "signature"):
        if not found.get(required):
            raise SignatureError(f"{required} was not specified")
    headers = found.get("headers")
    listed = None if headers is None else tuple(headers.lower().split())
    return Signature(found["keyId"], found["algorithm"].lower(), listed, decode_signature(found["signature"]))


def decode_signature(text: str) -> bytes:
    """The bytes of a signature; for a text that is not base64, bytes that match no text."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""


def parse_key_id(key_id: str) -> KeyId | None:
    """`/account[/user]/keys/fingerprint`, or None if it has another shape."""
    match = KEY_ID.match(key_id)
    return KeyId(match[1], match[2], match[3]) if match else None


def signing_text(listed: Iterable[str], method: str, target: str, header: Callable[[str], Sequence[str]]) -> bytes:
    """The text over which the `listed` headers are signed.

    `target` is the path with query as sent; `header` returns all values of a header, by its lower-case name. Raises
    SignatureError if a listed header is missing.
    """
    lines = []
    for name in listed:
        if name == "(request-target)":
            lines.append(f"(request-target): {method.lower()} {target}")
        elif name == "request-line":
            lines.append(f"{method} {target} HTTP/1.1")
        else:
            values = header(name)
            if not values:
                raise SignatureError(f"{name} was not in the request")
            lines.append(f"{name}: {', '.join(values)}")
    return "\n".join(lines).encode("utf-8", "surrogateescape")


def authorization(key_id: str, algorithm: str, listed: Sequence[str], signature: bytes) -> str:
    """The value of an `Authorization` header, in the order that stock clients use."""
    encoded = base64.b64encode(signature).decode()
    return f'Signature keyId="{key_id}",algorithm="{algorithm}",headers="{" ".join(listed)}",signature="{encoded}"'


# Presigned URLs.

PRESIGNED_REQUIRED = ("algorithm", "expires", "keyId", "signature")


def strict_quote(text: str) -> str:
    """Percent-encode all but RFC 3986's unreserved characters."""
    return quote(text, safe="", errors="surrogateescape")


def presigned_text(methods: str, host: str, raw_path: str, query: Iterable[tuple[str, str]]) -> bytes:
    """The text that a presigned URL signs. `query` holds decoded pairs; the function leaves `signature` out."""
    pairs = sorted((name, value) for name, value in query if name != "signature")
    encoded = "&".join(f"{strict_quote(name)}={strict_quote(value)}" for name, value in pairs)
    return "\n".join((methods, host, raw_path, encoded)).encode("utf-8", "surrogateescape")
