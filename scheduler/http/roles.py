"""Roles and role tags, of which there are none.

Sub-users and their roles are not offered, so whatever role a request names is unknown. It
is refused for that and not served as if nothing had been said: whoever takes on a role
wants fewer rights than the account has, and whoever tags an object wants others to have
some. To do neither and answer with success would be a lie.

`Role` (of any request below a login) and `Role-Tag` (of whatever writes an entry) are lists
with commas; an empty one is as good as none.
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
