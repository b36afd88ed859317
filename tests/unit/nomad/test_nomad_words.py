"""What the environment and Nomad say, read as values and as one sentence."""

import pytest

from scheduler.nomad.api import Access, NomadError, parse_version
from scheduler.nomad.errors import refusal


@pytest.mark.parametrize(
    ("environment", "complaint"),
    [
        ({"NOMAD_ADDR": "nomad.example:4646"}, "NOMAD_ADDR is no address"),
        ({"NOMAD_ADDR": "http://h:99999"}, "NOMAD_ADDR is no address"),
        ({"NOMAD_ADDR": "unix://secrets/api.sock"}, "NOMAD_ADDR is no address"),
        ({"NOMAD_CLIENT_CERT": "/etc/hostname"}, "only one is set"),
        ({"NOMAD_CACERT": "/nonesuch"}, "cannot be read: '/nonesuch'"),
    ],
)
def test_a_bad_variable_is_named(environment, complaint):
    with pytest.raises(NomadError, match=complaint):
        Access.from_environment(environment)


def test_certificates_are_checked_unless_one_says_otherwise():
    assert Access.from_environment({"NOMAD_ADDR": "https://h:1"}).verify is True
    assert Access.from_environment({"NOMAD_SKIP_VERIFY": "true"}).verify is False
    assert "s3cret" not in repr(Access.from_environment({"NOMAD_TOKEN": "s3cret"}))


@pytest.mark.parametrize(
    ("text", "version"),
    [("1.7.0", (1, 7, 0)), ("1.10.3-beta.1+ent", (1, 10, 3)), ("2.0.6-dev", (2, 0, 6)), ("3", (3, 0, 0))],
)
def test_versions_are_read(text, version):
    assert parse_version(text) == version


def test_what_nomad_says_is_made_one_line():
    error = refusal("do it", 418, "a\n\tb\x1b[31m" + "x" * 1000)
    assert str(error).startswith("Nomad did not do it: 418, a b[31mxxx")
    assert len(str(error)) < 500
