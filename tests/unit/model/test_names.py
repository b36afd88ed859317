import pytest

from scheduler.model import names
from scheduler.model.errors import WireError


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        ("/jill/stor/lear.txt", "/jill/stor/lear.txt"),
        ("/jill//stor///a/", "/jill/stor/a"),
        ("/jill/stor/a%20b", "/jill/stor/a b"),
        ("/jill/stor/a+b", "/jill/stor/a+b"),
        ("/jill/stor/%C3%BC", "/jill/stor/ü"),
        ("/jill/stor/a%0Ab", "/jill/stor/a\nb"),
        ("/jill/stor/%2525", "/jill/stor/%25"),
        ("/jill/stor/...", "/jill/stor/..."),
        ("/", "/"),
    ],
)
def test_a_request_path_is_decoded_once_and_made_normal(raw, path):
    assert names.from_request(raw) == path


@pytest.mark.parametrize(
    "raw",
    [
        "/jill/stor/..",
        "/jill/../bob",
        "/jill/stor/%2e%2e/x",
        "/jill/./x",
        "/jill/stor/%00",
        "/jill/stor/%ff",
        "/jill/a%2fb",
    ],
)
def test_a_path_that_no_client_sends_is_refused(raw):
    with pytest.raises(WireError) as caught:
        names.from_request(raw)
    assert (caught.value.status, caught.value.code) == (400, "InvalidResource")
    assert caught.value.message == f'"{raw}" is invalid'


def test_a_path_of_more_than_4096_bytes_is_refused():
    names.from_request("/jill/stor/" + "x" * 4085)
    with pytest.raises(WireError):
        names.from_request("/jill/stor/" + "x" * 4086)


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ("/jill/stor/../public/./a//b", "/jill/public/a/b"),
        ("//jill/stor", "/jill/stor"),
        ("jill/stor", "jill/stor"),
        ("", ""),
    ],
)
def test_an_input_line_is_made_normal_without_decoding(line, path):
    assert names.from_input_line(line) == path


def test_the_parts_of_a_path():
    assert names.split("/jill/stor/a") == ("/jill/stor", "a")
    assert names.split("/jill") == ("/", "jill")
    assert names.owner("/jill/stor/a") == "jill"
    assert names.top("/jill/stor/a") == "stor"
    assert names.top("/jill") == ""
    assert [names.depth(path) for path in ("/", "/jill", "/jill/stor", "/jill/stor/a")] == [0, 1, 2, 3]


def test_roots_are_the_login_and_its_top_level_directories():
    assert all(names.is_root(path) for path in ("/", "/jill", "/jill/stor", "/jill/jobs"))
    assert not any(names.is_root(path) for path in ("/jill/other", "/jill/stor/a"))


def test_ancestors_are_the_directories_that_may_have_to_be_made():
    assert names.ancestors("/jill/stor/a/b/c") == ["/jill/stor/a", "/jill/stor/a/b"]
    assert names.ancestors("/jill/stor/a") == []
