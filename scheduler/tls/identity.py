"""The identity of a process: its certificate, read from files at start, and again on SIGHUP.

All files are read and checked before anything is changed, so new ones that do not fit together leave everything as it
was. A certificate is refused if it has expired or is not valid yet, a key if it belongs to another certificate or other
users can read it, an authority's file if it has no certificate.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import ssl
import stat
import time
from dataclasses import dataclass
from pathlib import Path

from scheduler.tls import contexts
from scheduler.tls.contexts import Renewable

log = logging.getLogger("remora.tls")
DAY = 86400.0
WARN_SECONDS = 14 * DAY


class TlsError(Exception):
    """Invalid certificates or keys; the text is a sentence."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """The TLS files of a process.

    `authority`: certificates that vouch for nodes; `gateways`: those that vouch for gateways.
    """

    certificate: Path
    key: Path
    authority: Path | None = None
    gateways: Path | None = None


def files_of(
    certificate: Path | None, key: Path | None, authority: Path | None = None, gateways: Path | None = None
) -> TlsFiles | None:
    """The files that the options name; None for no TLS. Raises TlsError."""
    if certificate is None and key is None:
        if authority is not None or gateways is not None:
            raise TlsError(f"{'--tls-ca' if authority else '--gateway-ca'} goes with --tls-cert and --tls-key")
        return None
    if certificate is None or key is None:
        raise TlsError("--tls-cert and --tls-key go together")
    return TlsFiles(certificate, key, authority, gateways)


class Identity:
    """Owns the contexts of one process. Raises TlsError."""

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self.serving = Renewable(ssl.PROTOCOL_TLS_SERVER)  # for users, and nodes
        self.exchange = Renewable(ssl.PROTOCOL_TLS_SERVER)  # for nodes alone
        self.asking = Renewable(ssl.PROTOCOL_TLS_CLIENT)  # to gateways and supervisors
        self.fetching = Renewable(ssl.PROTOCOL_TLS_CLIENT)  # to nodes
        self.expires = 0.0  # seconds since the epoch
        self._read()

    def renew(self) -> None:
        """Read the files again. If one of them is invalid, log it, and keep the contexts."""
        try:
            self._read()
        except TlsError as error:
            log.error("the new certificate is not used", extra={"why": str(error)})
        else:
            log.info("certificate read", extra={"file": str(self._files.certificate), "expires": when(self.expires)})

    async def watch(self) -> None:
        """Renew on SIGHUP, and warn once a day when the certificate is about to expire. Runs until cancelled."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, self.renew)
        try:
            while True:
                self.warn(time.time())
                await asyncio.sleep(DAY)
        finally:
            loop.remove_signal_handler(signal.SIGHUP)

    def warn(self, now: float) -> None:
        if (left := self.expires - now) < WARN_SECONDS:
            told = {"file": str(self._files.certificate), "expires": when(self.expires), "days": int(left // DAY)}
            log.warning("the certificate expires soon", extra=told)

    def _read(self) -> None:
        files = self._files
        check_key(files.key)
        expires = end_of(files.certificate, time.time())
        pair, trusted = (files.certificate, files.key), [files.authority] if files.authority else []
        gateways = [files.gateways] if files.gateways else []
        try:
            serving = contexts.serving(*pair, files.authority, only_nodes=False)
            exchange = contexts.serving(*pair, files.authority, only_nodes=True)
            asking = contexts.asking(*pair, *trusted, *gateways)
            fetching = contexts.asking(*pair, *trusted)
        except (OSError, ValueError) as error:
            raise TlsError(f"{told(files)} cannot be used: {reason(error)}") from None
        self.serving.newest, self.exchange.newest = serving, exchange
        self.asking.newest, self.fetching.newest = asking, fetching
        self.expires = expires


def check_key(path: Path, option: str = "--tls-key: ") -> None:
    """Raises TlsError if another user could read the key, or change it."""
    try:
        found = path.stat()
    except OSError as error:
        raise TlsError(f"{option}cannot read {path}: {error.strerror}") from None
    if found.st_uid not in (0, os.geteuid()):
        raise TlsError(f"{option}{path} belongs to another user, who can change it")
    if stat.S_IMODE(found.st_mode) & 0o027:
        raise TlsError(f"{option}other users can read {path}, or change it: chmod 600 {path}")


def end_of(path: Path, now: float) -> float:
    """The time when a certificate expires, in seconds. Raises TlsError if it cannot be read, or is not valid now."""
    from cryptography import x509  # 8 MB, which an agent without a certificate saves

    try:
        certificate = x509.load_pem_x509_certificates(path.read_bytes())[0]
    except OSError as error:
        raise TlsError(f"--tls-cert: cannot read {path}: {error.strerror}") from None
    except (ValueError, IndexError):
        raise TlsError(f"--tls-cert: {path} has no certificate in PEM form") from None
    begins, ends = certificate.not_valid_before_utc.timestamp(), certificate.not_valid_after_utc.timestamp()
    if now > ends:
        raise TlsError(f"--tls-cert: the certificate in {path} has expired on {when(ends)}")
    if now < begins:
        raise TlsError(f"--tls-cert: the certificate in {path} is not valid before {when(begins)}")
    return ends


def when(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def told(files: TlsFiles) -> str:
    return ", ".join(str(path) for path in (files.certificate, files.key, files.authority, files.gateways) if path)


def reason(error: OSError | ValueError) -> str:
    """The reason why `ssl` refuses files."""
    if isinstance(error, ssl.SSLError):
        known = {
            "KEY_VALUES_MISMATCH": "the key is not that of the certificate",
            "NO_CERTIFICATE_OR_CRL_FOUND": "the authority's file has no certificate in PEM form",
        }
        return known.get(error.reason or "", error.reason or str(error))
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
