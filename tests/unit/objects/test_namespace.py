import pytest

from scheduler.model.errors import WireError, precondition_failed
from scheduler.objects import namespace
from scheduler.objects.entries import DIRECTORY, OBJECT, NewObject
from scheduler.objects.namespace import Page
from tests.support.services.records import connect

B = "/jill/stor"


@pytest.fixture
def c():
    return connect("jill")


def new(path: str, blob: str, size: int = 1) -> NewObject:
    return NewObject(path, blob, size, "md5")


def children(c, path: str) -> int:
    return namespace.lookup(c, path).children


def code(function, *arguments, **options) -> str:
    with pytest.raises(WireError) as caught:
        function(*arguments, **options)
    return caught.value.code


def test_an_object_is_found_as_it_was_put(c):
    namespace.put_object(c, NewObject(f"{B}/a", "b1", 3, "md5", "text/plain", 4, {"m-x": "1"}), now=7)
    entry = namespace.lookup(c, f"{B}/a")
    assert (entry.path, entry.etag, entry.size, entry.md5, entry.type, entry.copies, entry.headers, entry.mtime) == (
        f"{B}/a", "b1", 3, "md5", "text/plain", 4, {"m-x": "1"}, 7,
    )  # fmt: skip
    assert not entry.is_directory
    assert children(c, B) == 1


def test_a_replaced_object_gives_its_blob_back_and_counts_once(c):
    namespace.put_object(c, new(f"{B}/a", "b1"), 1)
    assert namespace.put_object(c, new(f"{B}/a", "b2"), 2).discard == ["b1"]
    assert children(c, B) == 1


def test_an_empty_object_has_no_blob_to_give_back(c):
    namespace.put_object(c, new(f"{B}/a", "b1", size=0), 1)
    assert namespace.put_object(c, new(f"{B}/a", "b2"), 2).discard == []


def test_putting_the_same_blob_again_keeps_it(c):
    namespace.put_object(c, new(f"{B}/a", "b1"), 1)
    assert namespace.put_object(c, new(f"{B}/a", "b1"), 2).discard == []


def test_a_batch_makes_its_directories_and_counts_each_once(c):
    placed = namespace.put_objects(c, [new(f"{B}/d/e/{n}", f"b{n}") for n in range(5)] + [new(f"{B}/d/x", "bx")], 1)
    assert (placed.discard, placed.refused) == ([], [])
    assert [children(c, path) for path in (B, f"{B}/d", f"{B}/d/e")] == [1, 2, 5]


def test_of_two_with_one_path_in_a_batch_the_last_stays(c):
    placed = namespace.put_objects(c, [new(f"{B}/a", "b1"), new(f"{B}/a", "b2")], 1)
    assert placed.discard == ["b1"]
    assert namespace.lookup(c, f"{B}/a").etag == "b2"
    assert children(c, B) == 1


def test_what_cannot_be_named_is_refused_and_hinders_nobody(c):
    namespace.put_directory(c, f"{B}/dir", {}, 1)
    namespace.put_object(c, new(f"{B}/file", "b0"), 1)
    batch = [new(path, path) for path in (f"{B}/dir", f"{B}/file/x", B, "/carl/stor/x", f"{B}/good")]
    placed = namespace.put_objects(c, batch, 2)
    assert [(refused.path, problem.code) for refused, problem in placed.refused] == [
        (f"{B}/dir", "OperationNotAllowedOnDirectory"),
        (f"{B}/file/x", "ParentNotDirectory"),
        (B, "OperationNotAllowedOnRootDirectory"),
        ("/carl/stor/x", "DirectoryDoesNotExist"),
    ]
    assert namespace.lookup(c, f"{B}/good") is not None


@pytest.mark.parametrize("order", [1, -1])
def test_a_name_and_a_name_below_it_in_one_batch_do_not_destroy_each_other(c, order):
    batch = [new(f"{B}/x", "b1"), new(f"{B}/x/y", "b2")][::order]
    placed = namespace.put_objects(c, batch, 1)
    assert [refused.path for refused, _ in placed.refused] == [f"{B}/x"]
    assert namespace.lookup(c, f"{B}/x").is_directory
    assert children(c, f"{B}/x") == 1


def test_a_missing_directory_is_refused_unless_it_may_be_made(c):
    assert code(namespace.put_object, c, new(f"{B}/d/a", "b1"), 1) == "DirectoryDoesNotExist"
    namespace.put_object(c, new(f"{B}/d/a", "b1"), 1, parents=True)
    assert children(c, f"{B}/d") == 1


def test_a_full_directory_takes_no_new_name_but_replaces(c):
    namespace.put_object(c, new(f"{B}/a", "b1"), 1)
    namespace.add_children(c, {B: namespace.MAX_CHILDREN})
    assert code(namespace.put_object, c, new(f"{B}/b", "b2"), 2) == "DirectoryLimitExceeded"
    assert code(namespace.put_directory, c, f"{B}/d", {}, 2) == "DirectoryLimitExceeded"
    assert namespace.put_object(c, new(f"{B}/a", "b3"), 2).discard == ["b1"]


def test_a_guard_sees_what_is_there_and_may_prevent(c):
    seen = []

    def guard(entry):
        seen.append(entry and entry.etag)
        if entry:
            raise precondition_failed("no")

    namespace.put_object(c, new(f"{B}/a", "b1"), 1, guard)
    assert code(namespace.put_object, c, new(f"{B}/a", "b2"), 2, guard) == "PreconditionFailed"
    assert seen == [None, "b1"]
    assert namespace.lookup(c, f"{B}/a").etag == "b1"


def test_many_names_resolve_in_one_go(c):
    namespace.put_objects(c, [new(f"{B}/{n}", f"b{n}") for n in range(3)], 1)
    found = namespace.resolve_many(c, [f"{B}/2", f"{B}/missing", f"{B}/0", f"{B}/2", B, "relative", "/carl"])
    assert {path: entry.etag for path, entry in found.items()} == {f"{B}/2": "b2", f"{B}/0": "b0", B: None}


# Links.


def test_a_blob_dies_with_its_last_name(c):
    namespace.put_object(c, new(f"{B}/a", "b1"), 1)
    assert namespace.put_link(c, f"{B}/a", f"{B}/b").discard == []
    namespace.put_link(c, f"{B}/b", f"{B}/c")
    assert namespace.put_object(c, new(f"{B}/a", "b2"), 2).discard == []
    assert namespace.delete(c, f"{B}/b").discard == []
    assert namespace.delete(c, f"{B}/c").discard == ["b1"]
    assert namespace.delete(c, f"{B}/a").discard == ["b2"]
    assert children(c, B) == 0


def test_a_link_to_itself_changes_nothing(c):
    namespace.put_object(c, new(f"{B}/a", "b1"), 1)
    assert namespace.put_link(c, f"{B}/a", f"{B}/a").discard == []
    assert children(c, B) == 1
    assert namespace.delete(c, f"{B}/a").discard == ["b1"]


def test_a_link_over_an_object_gives_back_what_was_there(c):
    namespace.put_object(c, new(f"{B}/a", "b1"), 1)
    namespace.put_object(c, new(f"{B}/b", "b2"), 1)
    assert namespace.put_link(c, f"{B}/a", f"{B}/b").discard == ["b2"]


def test_both_names_replaced_in_one_batch_give_the_blob_back_once(c):
    namespace.put_object(c, new(f"{B}/a", "b1"), 1)
    namespace.put_link(c, f"{B}/a", f"{B}/b")
    assert namespace.put_objects(c, [new(f"{B}/a", "b2"), new(f"{B}/b", "b3")], 2).discard == ["b1"]


# Directories.


def test_making_directories_makes_those_above(c):
    namespace.make_directories(c, f"{B}/a/b/c", 1)
    namespace.make_directories(c, f"{B}/a/b/d", 2)
    assert [children(c, path) for path in (B, f"{B}/a", f"{B}/a/b")] == [1, 1, 2]
    assert namespace.lookup(c, f"{B}/a/b").mtime == 1


def test_directories_are_not_made_below_an_object_or_nobody(c):
    namespace.put_object(c, new(f"{B}/a", "b1"), 1)
    assert code(namespace.make_directories, c, f"{B}/a/b/c", 1) == "ParentNotDirectory"
    assert code(namespace.make_directories, c, f"{B}/a", 1) == "ParentNotDirectory"
    assert code(namespace.make_directories, c, "/carl/stor/a", 1) == "DirectoryDoesNotExist"
    assert code(namespace.make_directories, c, "relative", 1) == "DirectoryDoesNotExist"


def test_a_directory_put_again_changes_only_with_its_headers(c):
    namespace.put_directory(c, f"{B}/d", {"m-x": "1"}, 1)
    namespace.put_directory(c, f"{B}/d", {"m-x": "1"}, 2)
    assert namespace.lookup(c, f"{B}/d").mtime == 1
    namespace.put_object(c, new(f"{B}/d/a", "b1"), 2)
    namespace.put_directory(c, f"{B}/d", {"m-x": "2"}, 3)
    entry = namespace.lookup(c, f"{B}/d")
    assert (entry.mtime, entry.headers, entry.children) == (3, {"m-x": "2"}, 1)


def test_a_directory_replaces_an_object_and_gives_its_blob_back(c):
    namespace.put_object(c, new(f"{B}/a", "b1"), 1)
    assert namespace.put_directory(c, f"{B}/a", {}, 2).discard == ["b1"]
    assert namespace.lookup(c, f"{B}/a").is_directory
    assert children(c, B) == 1


def test_only_what_is_there_and_empty_and_no_root_can_be_deleted(c):
    namespace.put_object(c, new(f"{B}/d/a", "b1"), 1, parents=True)
    assert code(namespace.delete, c, f"{B}/missing") == "ResourceNotFound"
    assert code(namespace.delete, c, f"{B}/d") == "DirectoryNotEmpty"
    assert code(namespace.delete, c, B) == "OperationNotAllowedOnRootDirectory"
    assert code(namespace.delete, c, "/jill") == "OperationNotAllowedOnRootDirectory"


def test_metadata_is_replaced_as_a_whole_and_the_contents_stay(c):
    namespace.put_object(c, NewObject(f"{B}/a", "b1", 3, "md5", "text/plain", headers={"m-x": "1"}), 1)
    namespace.put_metadata(c, f"{B}/a", {"m-y": "2"}, None, 5)
    entry = namespace.lookup(c, f"{B}/a")
    assert (entry.headers, entry.type, entry.etag, entry.mtime) == ({"m-y": "2"}, "text/plain", "b1", 5)
    namespace.put_metadata(c, f"{B}/a", {}, "text/html", 6)
    assert namespace.lookup(c, f"{B}/a").type == "text/html"
    namespace.put_metadata(c, B, {"m-z": "3"}, "text/html", 7)
    assert (namespace.lookup(c, B).type, namespace.lookup(c, B).headers) == (None, {"m-z": "3"})
    assert code(namespace.put_metadata, c, f"{B}/missing", {}, None, 5) == "ResourceNotFound"


# Listing.


@pytest.mark.parametrize(
    ("page", "names"),
    [
        (Page(), "a b d é"),
        (Page(limit=2), "a b"),
        (Page(marker="b"), "b d é"),
        (Page(marker="c"), "d é"),
        (Page(marker="b", descending=True), "b a"),
        (Page(kind=OBJECT), "a b é"),
        (Page(kind=DIRECTORY), "d"),
        (Page(sort="mtime"), "é d b a"),
        (Page(sort="mtime", marker=2), "d b a"),
        (Page(sort="mtime", descending=True, marker=3), "b d é"),
    ],
)
def test_a_page_of_a_directory(c, page, names):
    for at, name in enumerate("é_ba", 1):
        if name == "_":
            namespace.put_directory(c, f"{B}/d", {}, at)
        else:
            namespace.put_object(c, new(f"{B}/{name}", name), at)
    assert " ".join(entry.name for entry in namespace.list_page(c, B, page)) == names


def test_a_page_shows_the_disposition_and_no_other_header(c):
    headers = {"content-disposition": "attachment; filename=\"'x'\"", "m-x": "1"}
    namespace.put_object(c, NewObject(f"{B}/a", "b1", 1, "md5", headers=headers), 1)
    namespace.put_object(c, new(f"{B}/b", "b2"), 1)
    first, second = namespace.list_page(c, B, Page())
    assert first.headers == {"content-disposition": headers["content-disposition"]}
    assert second.headers == {}
