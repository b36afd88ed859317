"""The `ssl` contexts of a process, made from files; and a context that can be renewed while it is in use."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path
from typing import Any


class Renewable(ssl.SSLContext):
    """A context that stands for the newest of several: a connection begins with that one and keeps it.

    Contexts themselves can be changed, but an authority that was loaded cannot be removed from one.
    """

    newest: ssl.SSLContext

    def wrap_socket(self, *words: Any, **more: Any) -> ssl.SSLSocket:
        return self.newest.wrap_socket(*words, **more)

    def wrap_bio(self, *words: Any, **more: Any) -> ssl.SSLObject:
        return self.newest.wrap_bio(*words, **more)


# A TLS record. `recv` allocates as much as it is asked for, which costs more than the decryption.
RECORD = 16 * 1024


class PeekingSocket(ssl.SSLSocket):
    """A TLS socket on which `recv` with MSG_PEEK works, as on a plain one."""

    _ahead = b""

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """Receive up to `buflen` bytes; with MSG_PEEK they stay for the next call."""
        if flags == socket.MSG_PEEK:
            self._ahead = self._ahead or super().recv(RECORD)
            return self._ahead[:buflen]
        if not self._ahead:
            return super().recv(min(buflen, RECORD), flags)
        taken, self._ahead = self._ahead[:buflen], self._ahead[buflen:]
        return taken


def refuse_password() -> str:
    """The password callback of OpenSSL, which would otherwise ask at the terminal. Raises ValueError."""
    raise ValueError("the key is encrypted: a service cannot ask for its password")


def serving(certificate: Path, key: Path, authority: Path | None, only_nodes: bool) -> ssl.SSLContext:
    """A server's context. With an authority it asks nodes for certificates; `only_nodes`: it refuses other peers.

    Raises OSError, ValueError.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3 if only_nodes else ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key, refuse_password)
    if authority is not None:
        context.load_verify_locations(authority)
        context.verify_mode = ssl.CERT_REQUIRED if only_nodes else ssl.CERT_OPTIONAL
        # A resumed session would outlive the certificate with which it began.
        context.num_tickets = 0
        context.options |= ssl.OP_NO_TICKET
    return context


def asking(certificate: Path, key: Path, *authorities: Path) -> ssl.SSLContext:
    """A client's context, which shows a certificate and trusts these authorities alone. Raises OSError, ValueError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.sslsocket_class = PeekingSocket
    context.load_cert_chain(certificate, key, refuse_password)
    for authority in authorities:
        context.load_verify_locations(authority)
    return context
