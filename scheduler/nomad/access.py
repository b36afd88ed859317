"""Access to Nomad: its address, our token, and the TLS certificates of both sides; `transport` connects by it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from scheduler.nomad.errors import NomadError

DEFAULT_ADDRESS = "http://127.0.0.1:4646"
SOCKET = "unix://"


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

    @property
    def socket(self) -> str | None:
        """The path of the Unix socket that the address names, if it names one."""
        return self.address.removeprefix(SOCKET) if self.address.startswith(SOCKET) else None

    @property
    def base(self) -> str:
        """The URL that all paths are below; behind a socket its host says nothing."""
        return "http://nomad" if self.socket else self.address

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Access:
        """Read the variables that Nomad's own command uses. Raises NomadError."""
        get = {name: value for name, value in environment.items() if name.startswith("NOMAD_") and value}.get
        address = get("NOMAD_ADDR", DEFAULT_ADDRESS).rstrip("/")
        if not is_address(address):
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


def is_address(text: str) -> bool:
    """Whether Nomad may be there: `http[s]://HOST[:PORT]`, or `unix:///PATH`."""
    try:
        parts = urlsplit(text)
        if text.startswith(SOCKET):
            return text.startswith(f"{SOCKET}/")
        has_port = parts.port != 0  # raises for one that is no port
        return bool(parts.scheme in ("http", "https") and parts.hostname and has_port and not parts.path)
    except ValueError:
        return False
