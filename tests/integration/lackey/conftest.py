"""A lackey for each test that asks for one."""

from tests.support.nodes.lackey_fixtures import instance, mode

__all__ = ["instance", "mode"]
