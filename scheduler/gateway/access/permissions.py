"""May a caller do what a request does?

A request *touches* paths, each with an action: its target, and for a link also what that is a link to. `permit` is
asked about every touch before a handler runs, whoever the caller is. An action is allowed if the kind of proof that
the caller gave allows it (the table below) and the path is open to the caller's account (`model.access`).

    proof                               read    change   batch   jobs   issue a token
    a signed request                    yes     yes      yes     yes    yes
    a token that a key was given        yes     yes      yes     yes    no
    a token of a job                    yes     yes      yes     yes    no
    a presigned URL                     yes     yes      no      no     no
    none                                public  no       no      no     no

*change* is to put or delete an entry, *batch* to put many by one request, *jobs* to create, feed, end or cancel one.
Two reasons for the gaps: a token that issues tokens never ends; and what a presigned URL does must be in what was
signed, while a job, or a batch, is in the body.

For the same reason a presigned PUT makes a plain object, whatever its headers say, unless the URL itself has the
parameter `type=directory`, or `type=link` with `location=/login/stor/source`: `kind` and `location` are read by
the handlers too, so that what is permitted is what is done.

Example: jill presigns `PUT /jill/stor/inbox`. The holder sends `Content-Type: application/json; type=link` and
`Location: /jill/stor/secret`: refused, because no type was signed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum

from scheduler.gateway.context import Call, Caller, Proof
from scheduler.model import access, errors, names
from scheduler.model.errors import WireError
from scheduler.objects import headers

READING = frozenset({"GET", "HEAD"})


class Action(Enum):
    READ = "read"
    CHANGE = "change"
    BATCH = "batch"
    JOBS = "jobs"
    ISSUE = "issue"


ALLOWED: Mapping[Proof, frozenset[Action]] = {
    Proof.SIGNED: frozenset(Action),
    Proof.TOKEN: frozenset({Action.READ, Action.CHANGE, Action.BATCH, Action.JOBS}),
    Proof.JOB: frozenset({Action.READ, Action.CHANGE, Action.BATCH, Action.JOBS}),
    Proof.PRESIGNED: frozenset({Action.READ, Action.CHANGE}),
    Proof.NONE: frozenset({Action.READ}),
}


def may(caller: Caller, action: Action, path: str) -> bool:
    """Whether the caller may do this to a normal path."""
    open_to = access.may_read if action is Action.READ else access.may_write
    return action in ALLOWED[caller.proof] and open_to(caller.login, path)


def permit(call: Call) -> None:
    """Raises WireError unless the caller may do all that the request does."""
    for action, path in touches(call):
        if not may(call.caller, action, path):
            raise errors.authorization_failed(str(call.caller), path)


def touches(call: Call) -> Iterator[tuple[Action, str]]:
    """What a request does, and to which normal paths; the target comes first. Raises WireError."""
    yield action_on_target(call), call.path
    if call.method == "PUT" and kind(call) == "link":
        yield Action.READ, link_source(call)


def action_on_target(call: Call) -> Action:
    segments = call.path.split("/")[2:]
    if segments == ["tokens"]:
        return Action.ISSUE
    if call.method in READING:
        return Action.READ
    if call.method == "POST":
        return Action.JOBS if segments[:1] == ["jobs"] else Action.BATCH
    return Action.CHANGE


def kind(call: Call) -> str:
    """What a PUT makes: `directory`, `link`, or (anything else) an object. Raises WireError."""
    if "metadata" in call.query:  # it makes nothing, and what it has is a type to store
        return ""
    asked = headers.requested_kind(call.request.headers)
    if call.caller.proof is not Proof.PRESIGNED:
        return asked
    signed = call.query.get("type", "")
    if asked in ("directory", "link") and asked != signed:
        raise errors.invalid_presigned(f"type={asked} was not a signed parameter")
    return signed


def link_source(call: Call) -> str:
    """The normal path that a link is asked to be a link to. Raises WireError."""
    presigned = call.caller.proof is Proof.PRESIGNED
    location = call.query.get("location") if presigned else call.request.headers.get("Location")
    if not location:
        raise errors.location_required()
    try:
        source = names.from_request(location) if location.startswith("/") else ""
    except WireError:
        source = ""
    if not source:
        raise errors.invalid_link(location)
    return source


def said(call: Call, name: str) -> str:
    """A header that a presigned URL may have as a parameter of the same name, which then comes first."""
    presigned = call.caller.proof is Proof.PRESIGNED
    return call.query[name] if presigned and name in call.query else call.request.headers.get(name, "")
