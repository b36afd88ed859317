import pytest

from scheduler.model.credentials.httpsig import PublicKey
from scheduler.objects import namespace
from scheduler.records import accounts
from scheduler.records.accounts import OPERATOR, AccountError
from tests.support.services.gateway import KEYS, public_line
from tests.support.services.records import connect


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
    assert accounts.find_key(c, "jill", key.md5).public == line + " a comment"
    assert accounts.find_key(c, "bob", key.md5) is None
    accounts.add_key(c, "jill", line)
    assert accounts.list_keys(c, "jill") == {key.md5: line}
    assert not accounts.was_removed(c, "jill", key.md5)
    accounts.remove_key(c, "jill", key.md5)
    assert accounts.find_key(c, "jill", key.md5) is None
    assert accounts.list_keys(c, "jill") == {}
    assert accounts.was_removed(c, "jill", key.md5)
    accounts.add_key(c, "jill", line)
    assert accounts.list_keys(c, "jill") == {key.md5: line}
    assert not accounts.was_removed(c, "jill", key.md5)


def md5_bare(key):
    return key.md5.replace(":", "").upper()


@pytest.mark.parametrize("form", [lambda k: k.md5, lambda k: f"MD5:{k.md5}", md5_bare, lambda k: k.sha256,
                                  lambda k: k.sha256 + "="])  # fmt: skip
def test_a_key_is_removed_by_any_form_of_its_fingerprint_and_no_other(c, form):
    key = accounts.add_key(c, "jill", public_line(KEYS["rsa"]))
    other = accounts.add_key(c, "jill", public_line(KEYS["ecdsa"]))
    accounts.remove_key(c, "jill", form(key))
    assert list(accounts.list_keys(c, "jill")) == [other.md5]
    with pytest.raises(AccountError, match="jill has no key"):
        accounts.remove_key(c, "jill", form(key))


@pytest.mark.parametrize("form", ["", "SHA256:", "MD5:", "sha256", ":", "%"])
def test_what_is_no_fingerprint_removes_nothing(c, form):
    accounts.add_key(c, "jill", public_line(KEYS["rsa"]))
    with pytest.raises(AccountError, match=f'jill has no key "{form}"'):
        accounts.remove_key(c, "jill", form)
    assert len(accounts.list_keys(c, "jill")) == 1


def test_accounts_are_listed_with_the_number_of_their_keys(c):
    accounts.create(c, "bob", 7)
    for kind in ("rsa", "ecdsa"):
        accounts.add_key(c, "jill", public_line(KEYS[kind]))
    assert [tuple(row) for row in accounts.list_accounts(c)] == [("bob", 7, 0, None, 0, 0), ("jill", 0, 2, None, 0, 0)]


def test_the_services_own_account_takes_no_key_and_is_no_users(c):
    assert accounts.ensure_operator(c, 7) and accounts.ensure_operator(c, 8)
    with pytest.raises(AccountError, match="the service's own, and has no keys"):
        accounts.add_key(c, OPERATOR, public_line(KEYS["rsa"]))
    with pytest.raises(AccountError, match="the service uses that name itself"):
        accounts.create(c, OPERATOR, 0)
    assert [row["login"] for row in accounts.list_accounts(c)] == ["jill"]
    assert c.one("oldest_account")["login"] == "jill"


def test_an_account_of_that_name_with_keys_stays_its_users(c):
    line = public_line(KEYS["rsa"])
    assert accounts.ensure_operator(c, 7)
    c.run("put_key", login=OPERATOR, fingerprint=PublicKey.parse(line).md5, public=line, added=0)
    assert not accounts.ensure_operator(c, 8)
    assert [row["login"] for row in accounts.list_accounts(c)] == ["jill", OPERATOR]


def test_a_key_needs_an_account_and_must_be_one(c):
    with pytest.raises(AccountError, match='no account "bob"'):
        accounts.add_key(c, "bob", public_line(KEYS["rsa"]))
    with pytest.raises(AccountError, match="not an SSH public key"):
        accounts.add_key(c, "jill", "hello")
    for ask in (accounts.list_keys, lambda c, login: accounts.remove_key(c, login, "x")):
        with pytest.raises(AccountError, match='no account "bob"'):
            ask(c, "bob")
