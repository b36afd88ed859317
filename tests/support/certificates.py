"""Certificates for tests: of an authority of their own, good ones and all kinds of others."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from unittest.mock import patch

from scheduler.tls import authority
from scheduler.tls.identity import TlsFiles
from scheduler.tls.names import ROLES


class Certificates:
    """An authority in a directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.authority = authority.init(directory)

    def issue(
        self, node: str, *names: str, roles: Sequence[str] = ROLES, days: int = 100, expired: bool = False
    ) -> TlsFiles:
        """New files of a node, reached at 127.0.0.1 unless other names are given."""
        began = timedelta(days=3) if expired else authority.BEFORE
        with patch.object(authority, "BEFORE", began):
            at = authority.issue(self.directory, node, names or ("127.0.0.1",), roles, -1 if expired else days)
        return TlsFiles(at / "cert.pem", at / "key.pem", at / "ca.pem")

    def trust(self) -> ssl.SSLContext:
        """A client's, who believes this authority and has no certificate."""
        return ssl.create_default_context(cafile=self.authority)


def shows(files: TlsFiles, believes: Path | None = None) -> ssl.SSLContext:
    """A client's, who shows a certificate whatever it is worth, and believes its own authority or another."""
    context = ssl.create_default_context(cafile=believes or files.authority)
    context.load_cert_chain(files.certificate, files.key)
    return context
