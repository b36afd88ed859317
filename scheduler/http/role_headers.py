"""Roles and role tags, which are refused, since there are none.

Sub-users and their roles are not offered, so any role that a request names is unknown. The request
is refused, and not served as if it named none: a client that takes on a role wants fewer rights
than the account has, and a client that tags an object wants others to have some. Success without
either effect would be a lie.

`Role` (of any request below a login) and `Role-Tag` (of a request that writes an entry) are lists
with commas; an empty one counts as absent.
"""

from __future__ import annotations

from scheduler.model import errors


def refuse_roles(listed: str) -> None:
    """Raises WireError if a role is taken on. `*`, all roles, is for sub-users, and so no role either."""
    for role in words(listed):
        raise errors.invalid_role(role)


def refuse_tags(listed: str) -> None:
    """Raises WireError if an entry is to be tagged."""
    for tag in words(listed):
        raise errors.invalid_role_tag(tag)


def words(listed: str) -> list[str]:
    return [word.strip() for word in listed.split(",") if word.strip()]
