"""Access to Nomad: its address, our token, and the TLS certificates of both sides."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from requests.adapters import HTTPAdapter

from scheduler.nomad.errors import NomadError

DEFAULT_ADDRESS = "http://127.0.0.1:4646"


@dataclass(frozen=True, slots=True)
class Access:
    """The address of Nomad, the credentials for it, and how its certificate is checked."""

    address: str = DEFAULT_ADDRESS
    token: str | None = field(default=None, repr=False)
    namespace: str = "default"
    region: str | None = None
    verify: bool | str = True  # a file or directory of certificates, or those of the system
    certificate: tuple[str, str] | None = None  # files: certificate, key
    server_name: str | None = None  # the name in Nomad's certificate, if not that of the address

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Access:
        """Read the variables that Nomad's own command uses. Raises NomadError."""
        get = {name: value for name, value in environment.items() if name.startswith("NOMAD_") and value}.get
        address = get("NOMAD_ADDR", DEFAULT_ADDRESS).rstrip("/")
        try:
            parts = urlsplit(address)
            whole = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1) and not parts.path
        except ValueError:
            whole = False
        if not whole:
            raise NomadError(f"NOMAD_ADDR is no address such as https://nomad.example:4646: {address!r}")
        pair = get("NOMAD_CLIENT_CERT"), get("NOMAD_CLIENT_KEY")
        if (pair[0] is None) != (pair[1] is None):
            raise NomadError("of NOMAD_CLIENT_CERT and NOMAD_CLIENT_KEY only one is set")
        authority = get("NOMAD_CACERT") or get("NOMAD_CAPATH")
        for path in (*pair, authority):
            if path is not None and not os.access(path, os.R_OK):
                raise NomadError(f"a certificate that NOMAD_* names cannot be read: {path!r}")
        insecure = get("NOMAD_SKIP_VERIFY", "").lower() in ("1", "t", "true")
        return cls(
            address,
            get("NOMAD_TOKEN"),
            get("NOMAD_NAMESPACE", "default"),
            get("NOMAD_REGION"),
            False if insecure else authority or True,
            (pair[0], pair[1]) if pair[0] and pair[1] else None,
            get("NOMAD_TLS_SERVER_NAME"),
        )


class NamedAdapter(HTTPAdapter):
    """An adapter whose server certificate must have a given name."""

    def __init__(self, server_name: str | None) -> None:
        self._named: dict[str, Any] = {}
        if server_name:
            self._named = {"server_hostname": server_name, "assert_hostname": server_name}
        super().__init__(pool_connections=1, pool_maxsize=1)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **options: Any) -> None:
        super().init_poolmanager(connections, maxsize, block, **(options | self._named))


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
