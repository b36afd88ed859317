"""Roles and role tags, of which there are none.

Sub-users and their roles are not offered, so whatever role a request names is unknown. It
is refused for that and not served as if nothing had been said: whoever takes on a role
wants fewer rights than the account has, and whoever tags an object wants others to have
some. To do neither and answer with success would be a lie.

`Role` (any request below a login) and `Role-Tag` (whatever writes an entry) are lists with
commas; an empty one is as good as none. In a presigned URL the parameters `role` and
`role-tag` say the same, and come before the headers.
"""

from __future__ import annotations

from scheduler.gateway.context import Call
from scheduler.model import errors


def refuse_roles(call: Call) -> None:
    """Raises WireError if the caller takes on a role. `*`, all roles, is for sub-users, and so no role either."""
    for role in listed(call, "role"):
        raise errors.invalid_role(role)


def refuse_tags(call: Call) -> None:
    """Raises WireError if an entry is to be tagged."""
    for tag in listed(call, "role-tag"):
        raise errors.invalid_role_tag(tag)


def listed(call: Call, name: str) -> list[str]:
    presigned = "Authorization" not in call.request.headers and "signature" in call.query
    text = call.query[name] if presigned and name in call.query else call.request.headers.get(name, "")
    return [word.strip() for word in text.split(",") if word.strip()]
