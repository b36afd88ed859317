"""Connections to Nomad: by TCP, TLS, or the Unix socket of a task.

Nomad gives each of its tasks a socket of its own, the *task API*, in the task's secrets directory. It is served by the
node's Nomad agent, whatever that one's address, certificates and authority are, and takes the task's own token. So a
supervisor under Nomad needs none of these: `NOMAD_ADDR=unix:///…/secrets/api.sock`.
"""

from __future__ import annotations

import os
import socket
import ssl
from typing import Any, ClassVar

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool
from urllib3.exceptions import NewConnectionError

from scheduler.nomad.access import Access
from scheduler.nomad.errors import NomadError


class NamedAdapter(HTTPAdapter):
    """An adapter whose server certificate must have a given name."""

    def __init__(self, server_name: str | None) -> None:
        self._named: dict[str, Any] = {}
        if server_name:
            self._named = {"server_hostname": server_name, "assert_hostname": server_name}
        super().__init__(pool_connections=1, pool_maxsize=1)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **options: Any) -> None:
        super().init_poolmanager(connections, maxsize, block, **(options | self._named))


class SocketConnection(HTTPConnection):
    """A connection to a Unix socket, whatever host it is asked for."""

    path: ClassVar[str]

    def _new_conn(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(self.timeout)
        try:
            connection.connect(self.path)
        except OSError as error:
            connection.close()
            raise NewConnectionError(self, str(error)) from error
        return connection


class SocketAdapter(HTTPAdapter):
    """An adapter that reaches every host by one Unix socket."""

    def __init__(self, socket_path: str) -> None:
        class Connection(SocketConnection):
            path = socket_path

        class Pool(HTTPConnectionPool):
            ConnectionCls = Connection

        self._pools: dict[str, type] = {"http": Pool}
        super().__init__(pool_connections=1, pool_maxsize=1)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **options: Any) -> None:
        super().init_poolmanager(connections, maxsize, block, **options)
        self.poolmanager.pool_classes_by_scheme = self._pools


def adapter_of(access: Access) -> HTTPAdapter:
    """The adapter of requests for all URLs of Nomad."""
    return SocketAdapter(access.socket) if access.socket else NamedAdapter(access.server_name)


def context_of(access: Access) -> ssl.SSLContext | bool:
    """The TLS settings for httpx. Raises NomadError."""
    if not access.address.startswith("https:"):
        return False  # plain HTTP, nothing to verify: the authorities of the machine are not even read
    try:
        context = ssl.create_default_context()
        if isinstance(access.verify, str):
            is_file = os.path.isfile(access.verify)
            context.load_verify_locations(**{"cafile" if is_file else "capath": access.verify})
        elif not access.verify:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if access.certificate:
            context.load_cert_chain(*access.certificate)
    except (OSError, ssl.SSLError) as error:
        raise NomadError(f"the certificates that NOMAD_* name are of no use: {error}") from error
    return context
