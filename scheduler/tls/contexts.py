"""The contexts of `ssl` that processes use, made of files; and one that can be renewed while it is in use."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path
from typing import Any


class Renewable(ssl.SSLContext):
    """Stands for the newest of a row of contexts: a connection begins with that one and keeps it.

    Contexts themselves can be changed, but an authority that was loaded cannot be taken out of one again.
    """

    newest: ssl.SSLContext

    def wrap_socket(self, *words: Any, **more: Any) -> ssl.SSLSocket:
        return self.newest.wrap_socket(*words, **more)

    def wrap_bio(self, *words: Any, **more: Any) -> ssl.SSLObject:
        return self.newest.wrap_bio(*words, **more)


# What comes at once. `recv` makes room for as much as it is asked for, which costs more than the decryption.
RECORD = 16 * 1024


class PeekingSocket(ssl.SSLSocket):
    """A socket of TLS on which `recv` with MSG_PEEK works, as on one without."""

    _ahead = b""

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        if flags == socket.MSG_PEEK:
            self._ahead = self._ahead or super().recv(RECORD)
            return self._ahead[:buflen]
        if not self._ahead:
            return super().recv(min(buflen, RECORD), flags)
        taken, self._ahead = self._ahead[:buflen], self._ahead[buflen:]
        return taken


def refuse_password() -> str:
    """Without this, OpenSSL would ask for one at the terminal. Raises ValueError."""
    raise ValueError("the key is encrypted: a service cannot ask for its password")


def serving(certificate: Path, key: Path, authority: Path | None, only_nodes: bool) -> ssl.SSLContext:
    """For who is connected to. With an authority nodes are asked for certificates; `only_nodes`: others are refused.

    Raises OSError, ValueError.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3 if only_nodes else ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key, refuse_password)
    if authority is not None:
        context.load_verify_locations(authority)
        context.verify_mode = ssl.CERT_REQUIRED if only_nodes else ssl.CERT_OPTIONAL
        # A session that is resumed would outlive the certificate with which it began.
        context.num_tickets = 0
        context.options |= ssl.OP_NO_TICKET
    return context


def asking(certificate: Path, key: Path, *authorities: Path) -> ssl.SSLContext:
    """For who connects, shows a certificate, and believes these authorities alone. Raises OSError, ValueError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.sslsocket_class = PeekingSocket
    context.load_cert_chain(certificate, key, refuse_password)
    for authority in authorities:
        context.load_verify_locations(authority)
    return context
