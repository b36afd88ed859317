"""Routes of the object API.

The method decides what a request means, and for PUT also the media type: a directory, a link, or,
with any other type, an object; with `metadata=true` it is new metadata for an entry. A POST is a batch of
objects (`batch`). For GET the kind of the entry decides. So this module is two tables and the small
operations; those that move bytes are in `objects`, listings in `listing`.
"""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from scheduler.gateway.access import permissions
from scheduler.gateway.access.permissions import Action
from scheduler.gateway.context import Call, Handler
from scheduler.gateway.storage import headers as entry_headers
from scheduler.gateway.storage.batch import is_batch, put_batch
from scheduler.gateway.storage.listing import list_directory, list_login
from scheduler.gateway.storage.objects import read_object, write_object
from scheduler.http import role_headers
from scheduler.model import errors, names
from scheduler.model.dates import rfc1123
from scheduler.model.errors import WireError
from scheduler.objects import headers as kept_headers
from scheduler.objects import namespace
from scheduler.objects.conditions import Conditions
from scheduler.objects.entries import Entry

FORBIDDEN_IN_UPDATE = ("content-length", "content-md5", "durability-level")


async def handle(call: Call) -> web.StreamResponse:
    """Serve any request below a login that is not about jobs."""
    handler = METHODS.get(call.method)
    if call.method == "POST" and names.depth(call.path) == 1:
        raise errors.operation_not_allowed_on_root(call.method, call.path)
    if call.method == "POST" and is_batch(call):
        handler = put_batch
    if handler is None:
        raise errors.method_not_allowed(call.method)
    return await (answer_page(call, handler) if "Origin" in call.request.headers else handler(call))


async def answer_page(call: Call, handler: Handler) -> web.StreamResponse:
    """The reply to a page of another origin, which may see of it what the policy stored with the entry allows.

    This covers errors too: a page that cannot see why it failed cannot report it.
    """
    policy = await stored_policy(call, call.method)
    allowed = entry_headers.cors(policy, call.method, call.request.headers["Origin"])
    try:
        reply = await handler(call)
    except WireError as error:
        error.headers = {**allowed, **error.headers}
        raise
    if not reply.prepared:
        reply.headers.update(allowed)
    return reply


async def stored_policy(call: Call, method: str) -> Mapping[str, str]:
    """The headers that say what pages may do at a path: for a PUT, and where there is no entry, the directory's."""
    entry = await find(call) if method != "PUT" else None
    entry = entry or await find(call, names.split(call.path)[0])
    return entry.headers if entry else {}


async def get(call: Call) -> web.StreamResponse:
    """GET or HEAD of whatever entry is at the path."""
    if names.depth(call.path) == 1:
        return await list_login(call)
    entry = await find(call)
    if entry is None:
        raise errors.not_found(call.path)
    return await (list_directory(call, entry) if entry.is_directory else read_object(call, entry))


async def put(call: Call) -> web.StreamResponse:
    """PUT of a directory, a link, new metadata, or an object."""
    if names.depth(call.path) == 1:
        raise errors.operation_not_allowed_on_root("PUT", call.path)
    role_headers.refuse_tags(permissions.said(call, "role-tag"))
    metadata = call.query.get("metadata")
    if metadata == "true":
        return await put_metadata(call)
    if metadata is not None:  # to ignore the value would overwrite the entry
        raise errors.invalid_parameter(metadata, "metadata")
    return await PUTS.get(permissions.kind(call), write_object)(call)


async def put_directory(call: Call) -> web.StreamResponse:
    headers = kept_headers.stored(call.request.headers, directory=True)
    change = await call.context.db.write(lambda c: namespace.put_directory(c, call.path, headers, call.now))
    call.context.blobs.discard_soon(change.discard)
    origin = call.request.headers.get("Origin")
    return web.Response(status=204, headers={"Access-Control-Allow-Origin": origin} if origin else None)


async def put_link(call: Call) -> web.StreamResponse:
    source = permissions.link_source(call)
    guard = Conditions.of(call.request.headers).check_write
    most = await call.context.limiter.limits_of(call.caller.limits)
    await call.context.limiter.check_stored(names.owner(call.path), most, 1, 0)
    change = await call.context.db.write(lambda c: namespace.put_link(c, source, call.path, guard))
    call.context.blobs.discard_soon(change.discard)
    return done(change.entry)


async def put_metadata(call: Call) -> web.StreamResponse:
    """PUT of new metadata for an entry, whose bytes stay."""
    sent = call.request.headers
    if await find(call) is None:
        raise errors.not_found(call.path)
    for forbidden in FORBIDDEN_IN_UPDATE:
        if forbidden in sent:
            raise errors.invalid_update(forbidden)
    headers = kept_headers.stored(sent)
    content_type = kept_headers.content_type(sent) if "Content-Type" in sent else None
    guard = Conditions.of(sent).check_write
    change = await call.context.db.write(
        lambda c: namespace.put_metadata(c, call.path, headers, content_type, call.now, guard)
    )
    return done(change.entry)


async def delete(call: Call) -> web.StreamResponse:
    guard = Conditions.of(call.request.headers).check_write
    change = await call.context.db.write(lambda c: namespace.delete(c, call.path, guard))
    call.context.blobs.discard_soon(change.discard)
    return done(change.entry)


async def preflight(call: Call) -> web.StreamResponse:
    """OPTIONS: a browser asks what a page may do here. Always 200; without CORS headers it means no.

    A browser asks without any proof, so the answer must not reveal which private names exist. For those it is the
    policy of the top-level directory, which always exists: an owner whose pages use private objects sets it on
    `/login/stor`. What pages may see of the reply to the request itself depends on the entry.
    """
    if permissions.may(call.caller, Action.READ, call.path):
        policy = await stored_policy(call, call.request.headers.get("Access-Control-Request-Method", ""))
    else:
        top = await find(call, "/".join(call.path.split("/")[:3]))
        policy = top.headers if top else {}
    return web.Response(headers=entry_headers.preflight(policy, call.request.headers))


async def find(call: Call, path: str | None = None) -> Entry | None:
    return await call.context.db.read(lambda c: namespace.lookup(c, path or call.path))


def done(entry: Entry) -> web.Response:
    """The reply 204, with the headers that identify an object."""
    if entry.is_directory:
        return web.Response(status=204)
    return web.Response(status=204, headers={"Etag": entry.etag or "", "Last-Modified": rfc1123(entry.mtime)})


METHODS: dict[str, Handler] = {"GET": get, "HEAD": get, "PUT": put, "DELETE": delete}
PUTS: dict[str, Handler] = {"directory": put_directory, "link": put_link}
