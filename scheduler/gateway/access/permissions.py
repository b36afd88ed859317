"""Permissions: whether a caller may do what a request does.

A request *touches* paths, each with an action: its target, and for a link also the source of the link. `permit`
checks every touch before a handler runs, for every kind of caller. An action is allowed if the kind of proof that
the caller gave allows it (the table below) and the path is open to the caller's account (`model.access`).

    proof                               read    change   batch   jobs   attach   issue a token
    a signed request                    yes     yes      yes     yes    yes      yes
    a token that a key was given        yes     yes      yes     yes    yes      no
    a token of a job                    yes     yes      yes     yes    yes      no
    a presigned URL                     yes     yes      no      no     yes      no
    none                                public  no       no      no     no       no

With a signature or a token of a key, an account of an operator may also read what is below any login, and cancel any
job. It changes nothing else of others, and issues no tokens for them.

*change* is to put or delete an entry, *batch* to put many by one request, *jobs* to create, feed, end or cancel one,
*attach* to become an end of an interactive session.
The gaps have two reasons: a token that could issue tokens would never expire; and a presigned URL must contain in
its signed part all that it does, while a job or a batch is in the body.

For the same reason a presigned PUT makes a plain object, whatever its headers say, unless the URL itself has the
parameter `type=directory`, or `type=link` with `location=/login/stor/source`. The handlers call `kind` and
`link_source` too, so that they do what was permitted.

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
    """The actions that permissions distinguish: the columns of the table above."""

    READ = "read"
    CHANGE = "change"
    BATCH = "batch"
    JOBS = "jobs"
    ATTACH = "attach"
    ISSUE = "issue"


ALLOWED: Mapping[Proof, frozenset[Action]] = {
    Proof.SIGNED: frozenset(Action),
    Proof.TOKEN: frozenset(Action) - {Action.ISSUE},
    Proof.JOB: frozenset(Action) - {Action.ISSUE},
    Proof.PRESIGNED: frozenset({Action.READ, Action.CHANGE, Action.ATTACH}),
    Proof.NONE: frozenset({Action.READ}),
}


# The proofs with which an account is an operator's.
PERSONAL = frozenset({Proof.SIGNED, Proof.TOKEN})


def may(caller: Caller, action: Action, path: str) -> bool:
    """Whether the caller may take this action on a normal path."""
    if caller.operator and caller.proof in PERSONAL and (action is Action.READ or is_cancel(action, path)):
        return True
    open_to = access.may_read if action is Action.READ else access.may_write
    return action in ALLOWED[caller.proof] and open_to(caller.login, path)


def is_cancel(action: Action, path: str) -> bool:
    """Whether an action on a normal path is to cancel a job: `/login/jobs/ID/live/cancel`."""
    return action is Action.JOBS and path.split("/")[4:] == ["live", "cancel"]


def permit(call: Call) -> None:
    """Raises WireError unless the caller may do all that the request does."""
    for action, path in touches(call):
        if not may(call.caller, action, path):
            raise errors.authorization_failed(str(call.caller), path)


def touches(call: Call) -> Iterator[tuple[Action, str]]:
    """The actions of a request, each with the normal path that it touches; the target comes first. Raises WireError."""
    yield action_on_target(call), call.path
    if call.method == "PUT" and kind(call) == "link":
        yield Action.READ, link_source(call)


def action_on_target(call: Call) -> Action:
    """The action on the request's target, by the method and the path."""
    segments = call.path.split("/")[2:]
    if segments == ["tokens"]:
        return Action.ISSUE
    if segments[:2] == ["medusa", "attach"]:
        return Action.ATTACH
    if call.method in READING:
        return Action.READ
    if call.method == "POST":
        return Action.JOBS if segments[:1] == ["jobs"] else Action.BATCH
    return Action.CHANGE


def kind(call: Call) -> str:
    """The kind of entry that a PUT makes: `directory`, `link`, or (anything else) an object. Raises WireError."""
    if "metadata" in call.query:  # it changes an entry, and its Content-Type is a value to store
        return ""
    asked = headers.requested_kind(call.request.headers)
    if call.caller.proof is not Proof.PRESIGNED:
        return asked
    signed = call.query.get("type", "")
    if asked in ("directory", "link") and asked != signed:
        raise errors.invalid_presigned(f"type={asked} was not a signed parameter")
    return signed


def link_source(call: Call) -> str:
    """The normal path of the source that a link is to have. Raises WireError."""
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
    """The value of a header.

    A presigned URL may have it as a parameter of the same name, which then takes precedence.
    """
    presigned = call.caller.proof is Proof.PRESIGNED
    return call.query[name] if presigned and name in call.query else call.request.headers.get(name, "")
