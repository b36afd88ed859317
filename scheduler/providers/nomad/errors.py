"""What goes wrong between Nomad and us, as sentences.

Nomad answers most refusals in plain text, and many of them with 500, a conflict and a bad
document too, so the text decides what is what:

- `ConflictError`: somebody was faster, or we were, and have not heard the answer.
- `MissingError`: there is no such thing.
- `passing`: trouble of Nomad's own (429, 5xx, no leader, silence, a closed connection).
"""

from __future__ import annotations

import re

import httpx
import requests
from nomad.api.exceptions import BaseNomadException

# Of what Nomad says, in a sentence.
LONGEST_TEXT = 400
# Why there is no connection, in the system's words.
REASON = re.compile(r"\[Errno -?\d+\] ([^\[\]'\"()<>]+)")


CERTIFICATE = re.compile(r"""(?:certificate verify failed: |(?=hostname '))([^()"]*)""")


class NomadError(Exception):
    """One sentence. `status` is that of the answer, 0 if there was none; `passing`: it may work a little later."""

    def __init__(self, sentence: str, status: int = 0, passing: bool = False) -> None:
        super().__init__(sentence)
        self.status = status
        self.passing = passing


class ConflictError(NomadError):
    """The job is there already, or is another version than was thought."""


class MissingError(NomadError):
    """There is no such thing."""


def refusal(what: str, status: int, text: str) -> NomadError:
    """The error that an answer means."""
    told = "".join(character for character in " ".join(text.split()) if character.isprintable())[:LONGEST_TEXT]
    said = told.replace("error occurred: * ", "error occurred: ") or "nothing more"
    if status == httpx.codes.NOT_FOUND:
        return MissingError(f"Nomad did not {what}: {said}", status)
    if status == httpx.codes.CONFLICT:  # what it says then is what is in a variable
        return ConflictError(f"Nomad did not {what}, because somebody else was faster", status)
    if status >= 500 and "Enforcing job modify index" in told:
        return ConflictError(f"Nomad did not {what}, because somebody else was faster: {said}", status)
    if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        return NomadError(f"Nomad did not {what}: the token in NOMAD_TOKEN does not allow it ({said})", status)
    passing = status == httpx.codes.TOO_MANY_REQUESTS or (status >= 500 and not _is_invalid(told))
    return NomadError(f"Nomad did not {what}: {status}, {said}", status, passing)


def _is_invalid(text: str) -> bool:
    """Documents that are wrong are answered with 500 and a list of what is."""
    return "error occurred" in text or "errors occurred" in text


def silent(what: str, error: Exception) -> NomadError:
    """The error that no answer means, or one that cannot be read."""
    name = type(error).__name__
    if isinstance(error, httpx.TimeoutException | requests.Timeout):
        return NomadError(f"Nomad did not {what}: it does not answer in time", passing=True)
    if isinstance(error, ValueError) and not isinstance(error, requests.ConnectionError):
        return NomadError(f"Nomad did not {what}: its answer is not JSON", passing=True)
    told = " ".join(str(error).split())
    if found := CERTIFICATE.search(told):
        return NomadError(
            f"Nomad did not {what}: its certificate is not trusted ({found[1].strip()}; see NOMAD_CACERT)"
        )
    if found := REASON.search(told):  # deep in what a library says of its pools and their adapters
        told = found[1]
    return NomadError(f"Nomad did not {what}: {told[:LONGEST_TEXT] or name}", passing=True)


def translated(what: str, error: BaseNomadException) -> NomadError:
    """python-nomad keeps an answer or an exception in the same place."""
    cause = error.nomad_resp
    if isinstance(cause, requests.Response):
        return refusal(what, cause.status_code, cause.text)
    return silent(what, cause if isinstance(cause, Exception) else error)
