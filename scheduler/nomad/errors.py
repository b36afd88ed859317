"""Errors of Nomad, as sentences.

Nomad answers most refusals in plain text, and many of them with 500, even a conflict or a bad
document, so the text decides the kind:

- `ConflictError`: another client was faster, or an earlier request of ours whose answer was lost.
- `MissingError`: the object does not exist.
- `passing`: a transient error (429, 5xx, no leader, no answer, a closed connection).
"""

from __future__ import annotations

import re

import httpx
import requests
from nomad.api.exceptions import BaseNomadException

# Characters of Nomad's answer in a sentence.
LONGEST_TEXT = 400
# The system's reason why there is no connection.
REASON = re.compile(r"\[Errno -?\d+\] ([^\[\]'\"()<>]+)")
CERTIFICATE = re.compile(r"""(?:certificate verify failed: |(?=hostname '))([^()"]*)""")
# TLS alerts: Nomad wants a certificate that we did not send, or does not trust ours.
NO_CERTIFICATE = "CERTIFICATE_REQUIRED"
ALERT = re.compile(r"ALERT_(BAD_CERTIFICATE|UNKNOWN_CA|CERTIFICATE_[A-Z]+)")
FORBIDDEN = (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN)


class NomadError(Exception):
    """A failed request to Nomad, as a sentence. `status`: of the answer, 0 if there was none; `passing`: it is
    transient."""

    def __init__(self, sentence: str, status: int = 0, passing: bool = False) -> None:
        super().__init__(sentence)
        self.status = status
        self.passing = passing


class ConflictError(NomadError):
    """The job exists already, or has another version than expected."""


class MissingError(NomadError):
    """The object does not exist."""


def refusal(what: str, status: int, text: str) -> NomadError:
    """The error for a refusal."""
    told = "".join(character for character in " ".join(text.split()) if character.isprintable())[:LONGEST_TEXT]
    said = told.replace("error occurred: * ", "error occurred: ") or "nothing more"
    if status == httpx.codes.NOT_FOUND:
        return MissingError(f"Nomad did not {what}: {said}", status)
    if status == httpx.codes.CONFLICT:  # the text would contain the items of a variable
        return ConflictError(f"Nomad did not {what}, because of a concurrent change", status)
    if status >= 500 and "Enforcing job modify index" in told:
        return ConflictError(f"Nomad did not {what}, because of a concurrent change: {said}", status)
    if status in FORBIDDEN:
        return NomadError(f"Nomad did not {what}: the token in NOMAD_TOKEN does not allow it ({said})", status)
    passing = status == httpx.codes.TOO_MANY_REQUESTS or (status >= 500 and not _is_invalid(told))
    return NomadError(f"Nomad did not {what}: {status}, {said}", status, passing)


def tokenless(what: str, status: int) -> NomadError:
    """The error for a refusal of a request without a token."""
    return NomadError(f"Nomad did not {what}: it asks for a token, and NOMAD_TOKEN is not set", status)


def _is_invalid(text: str) -> bool:
    """Whether the text is about an invalid document, which Nomad answers with 500."""
    return "error occurred" in text or "errors occurred" in text


def silent(what: str, error: Exception) -> NomadError:
    """The error for a missing or unreadable answer."""
    name = type(error).__name__
    if isinstance(error, httpx.TimeoutException | requests.Timeout):
        return NomadError(f"Nomad did not {what}: it does not answer in time", passing=True)
    if isinstance(error, ValueError) and not isinstance(error, requests.ConnectionError):
        return NomadError(f"Nomad did not {what}: its answer is not JSON", passing=True)
    told = " ".join(str(error).split())
    if NO_CERTIFICATE in told:
        return NomadError(
            f"Nomad did not {what}: it asks for a certificate (see NOMAD_CLIENT_CERT and NOMAD_CLIENT_KEY)"
        )
    if alert := ALERT.search(told):
        why = alert[1].lower().replace("_", " ")
        return NomadError(f"Nomad did not {what}: it does not trust the certificate in NOMAD_CLIENT_CERT ({why})")
    if found := CERTIFICATE.search(told):
        return NomadError(
            f"Nomad did not {what}: its certificate is not trusted ({found[1].strip()}; see NOMAD_CACERT)"
        )
    if found := REASON.search(told):  # deep in a library's message about its pools and their adapters
        told = found[1]
    return NomadError(f"Nomad did not {what}: {told[:LONGEST_TEXT] or name}", passing=True)


def translated(what: str, error: BaseNomadException) -> NomadError:
    """The error for an exception of python-nomad, which keeps an answer or another exception in one attribute."""
    cause = error.nomad_resp
    if isinstance(cause, requests.Response):
        return refusal(what, cause.status_code, cause.text)
    return silent(what, cause if isinstance(cause, Exception) else error)
