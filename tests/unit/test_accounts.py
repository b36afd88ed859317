import pytest

from scheduler.objects import namespace
from scheduler.records import accounts
from scheduler.records.accounts import AccountError
from tests.support.gateway import KEYS, public_line
from tests.support.records import connect


@pytest.fixture
def c():
    return connect("jill")


def test_an_account_has_its_top_level_directories(c):
    for top in ("jobs", "public", "reports", "stor"):
        assert namespace.lookup(c, f"/jill/{top}").is_directory
    assert namespace.lookup(c, "/jill").children == 4


@pytest.mark.parametrize(
    ("login", "problem"),
    [
     ("jill", "exists already"), ("ping", "the service uses"), ("1st", "cannot be a login"),
     ("a/b", "cannot be a login"),
     ("", "cannot be a login"), ("..", "cannot be a login"), ("jill\n", "cannot be a login")],
)  # fmt: skip
def test_a_login_that_cannot_be_is_refused_with_a_sentence(c, login, problem):
    with pytest.raises(AccountError, match=problem):
        accounts.create(c, login, 0)


def test_keys_come_and_go(c):
    line = public_line(KEYS["rsa"])
    key = accounts.add_key(c, "jill", line + " a comment\n")
    assert accounts.find_key(c, "jill", key.md5) == line + " a comment"
    assert accounts.find_key(c, "bob", key.md5) is None
    accounts.add_key(c, "jill", line)
    assert accounts.list_keys(c, "jill") == {key.md5: line}
    assert accounts.remove_key(c, "jill", key.md5)
    assert not accounts.remove_key(c, "jill", key.md5)
    assert accounts.find_key(c, "jill", key.md5) is None


def test_a_key_needs_an_account_and_must_be_one(c):
    with pytest.raises(AccountError, match='no account "bob"'):
        accounts.add_key(c, "bob", public_line(KEYS["rsa"]))
    with pytest.raises(AccountError, match="not an SSH public key"):
        accounts.add_key(c, "jill", "hello")
