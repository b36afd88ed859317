"""The ssh agent, asked to sign. Two questions of its protocol are all that we need.

A message is a 4-byte length, a type byte, and fields; a *string* field is a 4-byte length
and bytes. REQUEST_IDENTITIES lists public keys; SIGN_REQUEST signs data with one of them.
The answer to the latter is an SSH signature: its form differs from what HTTP signatures
carry for ECDSA only (two integers, which `keys` puts into DER).
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

REQUEST_IDENTITIES, IDENTITIES_ANSWER, SIGN_REQUEST, SIGN_RESPONSE = 11, 12, 13, 14
RSA_FLAGS = {"rsa-sha1": 0, "rsa-sha256": 2, "rsa-sha512": 4}
PATIENCE = 60.0  # seconds: an agent may ask its owner to confirm
MAX_ANSWER = 256 * 1024


class AgentRefusedError(Exception):
    """The agent did not answer as asked."""


def string(data: bytes) -> bytes:
    """A string field."""
    return struct.pack(">I", len(data)) + data


def strings(data: bytes) -> Iterator[bytes]:
    """The string fields of which `data` consists. Raises `AgentRefusedError` if it is cut short."""
    while data:
        size = int.from_bytes(data[:4], "big")
        if len(data) < 4 + size:
            raise AgentRefusedError("the ssh agent sent a broken message")
        yield data[4 : 4 + size]
        data = data[4 + size :]


def ask(path: str, kind: int, body: bytes, wanted: int) -> bytes:
    """One question to the agent at socket `path`: the body of its answer. Raises `AgentRefusedError`, `OSError`."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(PATIENCE)
        sock.connect(path)
        sock.sendall(string(bytes([kind]) + body))
        with sock.makefile("rb") as answers:
            size = int.from_bytes(answers.read(4), "big")
            answer = answers.read(min(size, MAX_ANSWER))
    if not answer or answer[0] != wanted:
        raise AgentRefusedError("the ssh agent refused")
    return answer[1:]


def identities(path: str) -> list[bytes]:
    """The public key blobs that the agent holds."""
    answer = ask(path, REQUEST_IDENTITIES, b"", IDENTITIES_ANSWER)
    return list(strings(answer[4:]))[::2]  # each is followed by its comment


def sign(path: str, blob: bytes, data: bytes, algorithm: str) -> bytes:
    """The raw signature of `data` by the key `blob` (RSA: PKCS#1; ECDSA: two SSH integers).

    The algorithm is one of `RSA_FLAGS` for an RSA key; other keys have only one.
    """
    body = string(blob) + string(data) + struct.pack(">I", RSA_FLAGS.get(algorithm, 0))
    (signature,) = strings(ask(path, SIGN_REQUEST, body, SIGN_RESPONSE))
    _algorithm, raw = strings(signature)
    return raw
