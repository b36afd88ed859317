"""What this machine allows, for tests that cannot do without it.

Everything that a job needs holds on every machine. What only namespaces give (nothing of the
host is seen, paths like `/assets`, a user 0 of one's own) is asked for by `needs_namespaces`.
"""

from __future__ import annotations

import os
import shutil

import pytest

from scheduler.providers.linux.loopback import why_none
from scheduler.providers.linux.subordinate_users import NoSubordinateUsersError, make
from tests.support.nodes.lackey_instance import Mode, needs_core_files, refusal

__all__ = ["ONE_USER", "OWN_LOOPBACK", "needs_core_files", "needs_curl", "needs_namespaces", "needs_users"]

REFUSED = refusal(Mode("namespaces"))
needs_namespaces = pytest.mark.skipif(bool(REFUSED), reason=f"the kernel refuses namespaces: {REFUSED}")


def why_one_user() -> str:
    """Why instances have no user but root here, or an empty string."""
    if REFUSED or os.geteuid() == 0:
        return REFUSED
    try:
        make().close()
    except NoSubordinateUsersError as error:
        return str(error)
    return ""


ONE_USER = why_one_user()
needs_users = pytest.mark.skipif(bool(ONE_USER), reason=f"NO INSTANCE WITH USERS IS TRIED: {ONE_USER}")
# Whether instances, of either provider, have a loopback of their own here.
OWN_LOOPBACK = os.geteuid() == 0 and why_none() is None and not REFUSED
needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
