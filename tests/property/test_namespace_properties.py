"""Whatever is put and taken away: counts are right, and blobs die with their last name and not before."""

from collections import Counter
from contextlib import suppress

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from scheduler.model import names
from scheduler.model.errors import WireError
from scheduler.objects import namespace
from scheduler.objects.entries import NewObject
from tests.support.services.records import connect

SEGMENTS = st.sampled_from("ab")
PATHS = st.lists(SEGMENTS, min_size=0, max_size=3).map(lambda parts: "/".join(["/jill/stor", *parts]))


class Namespace(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.c = connect("jill")
        self.time = 0
        self.blobs: set[str] = set()

    def blob(self) -> str:
        self.time += 1
        self.blobs.add(f"blob {self.time}")
        return f"blob {self.time}"

    def discard(self, gone: list[str]) -> None:
        assert len(set(gone)) == len(gone)
        assert set(gone) <= self.blobs
        self.blobs -= set(gone)

    @rule(path=PATHS, parents=st.booleans())
    def put(self, path, parents):
        blob = self.blob()
        try:
            change = namespace.put_object(self.c, NewObject(path, blob, 1, ""), self.time, parents=parents)
        except WireError:
            self.discard([blob])
        else:
            self.discard(change.discard)

    @rule(paths=st.lists(PATHS, max_size=5), parents=st.booleans())
    def put_many(self, paths, parents):
        new = [NewObject(path, self.blob(), 1, "") for path in paths]
        placed = namespace.put_objects(self.c, new, self.time, parents)
        self.discard(placed.discard)
        self.discard([refused.etag for refused, _ in placed.refused])

    @rule(path=PATHS)
    def delete(self, path):
        with suppress(WireError):
            self.discard(namespace.delete(self.c, path).discard)

    @rule(source=PATHS, path=PATHS)
    def link(self, source, path):
        with suppress(WireError):
            self.discard(namespace.put_link(self.c, source, path).discard)

    @rule(path=PATHS)
    def make_directory(self, path):
        with suppress(WireError):
            self.discard(namespace.put_directory(self.c, path, {}, self.time).discard)

    @invariant()
    def every_directory_counts_its_entries(self):
        rows = self.c.plain("SELECT * FROM entries")
        below = Counter(row["dir"] for row in rows)
        for row in rows:
            path = "/" + row["name"] if row["dir"] == "/" else f"{row['dir']}/{row['name']}"
            assert row["children"] == below[path]

    @invariant()
    def every_entry_is_below_a_directory(self):
        kinds = {
            (row["dir"] if row["dir"] != "/" else "") + "/" + row["name"]: row["kind"]
            for row in self.c.plain("SELECT * FROM entries")
        }
        for path in kinds:
            above = names.split(path)[0]
            assert above == "/" or kinds[above] == "d"

    @invariant()
    def the_blobs_that_live_are_those_with_a_name(self):
        named = {row["etag"] for row in self.c.plain("SELECT etag FROM entries WHERE kind = 'o'")}
        assert named == self.blobs


TestNamespace = Namespace.TestCase
TestNamespace.settings = settings(max_examples=60, stateful_step_count=30)
