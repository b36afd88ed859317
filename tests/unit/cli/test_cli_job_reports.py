"""What mjob says about jobs: what they took, their page, which inputs to run again."""

from __future__ import annotations

import click
import pytest

from cli.client.problem import Problem, refusal
from cli.client.transport.connection import Reply
from cli.jobs import cat, cost, rerun, share_page

MAP = {
    "phase": 0, "type": "map", "memory": 1024, "disk": 8, "tasks": 3,
    "wall_us": 12_500_000, "cpu_us": 1_250, "max_rss_kb": 2048, "bytes_in": 1536, "bytes_out": 0,
}  # fmt: skip
REDUCE = MAP | {"phase": 1, "type": "reduce", "memory": 512, "tasks": 1, "wall_us": 2_000_000, "max_rss_kb": 4096}


def test_time_is_paid_for_by_the_memory_of_the_instance():
    assert cost.priced(MAP, None)["gb_seconds"] == 12.5
    assert cost.priced(REDUCE, None)["gb_seconds"] == 1.0
    assert cost.priced(REDUCE, 0.5)["dollars"] == 0.5
    assert "dollars" not in cost.priced(MAP, None)


def test_a_sum_adds_everything_but_the_peak():
    total = cost.summed([cost.priced(MAP, 2.0), cost.priced(REDUCE, 2.0)])
    assert total == {
        "tasks": 4, "wall_us": 14_500_000, "cpu_us": 2500, "bytes_in": 3072, "bytes_out": 0,
        "gb_seconds": 13.5, "dollars": 27.0, "max_rss_kb": 4096,
    }  # fmt: skip


def test_the_table_has_a_line_for_each_phase_and_the_sum():
    phases = [cost.priced(phase, None) for phase in (MAP, REDUCE)]
    assert cost.table([*phases, cost.summed(phases)], False).splitlines() == [
        "phase    type   memory  tasks    wall     cpu  peak    in  out    GB·s",
        "    0     map  1024 MB      3   12.5s  0.001s    2M  1.5K    0  12.500",
        "    1  reduce   512 MB      1  2.000s  0.001s    4M  1.5K    0   1.000",
        "  all                       4   14.5s  0.003s    4M    3K    0  13.500",
    ]


@pytest.mark.parametrize(
    ("us", "shown"),
    [(0, "0.000s"), (1234, "0.001s"), (9_999_000, "9.999s"), (59_960_000, "60.0s"), (3_600_000_000, "1h00m")],
)
def test_durations_have_the_digits_that_one_compares(us, shown):
    assert cost.duration(us) == shown


@pytest.mark.parametrize(
    ("amount", "shown"), [(0, "$0.000"), (0.3412, "$0.341"), (12.0, "$12.000"), (4.17e-8, "$0.0000000417")]
)
def test_dollars_are_never_rounded_to_nothing(amount, shown):
    assert cost.dollars(amount) == shown


def test_each_failed_input_is_run_again_once_in_order():
    assert list(rerun.distinct([b"/b", b"/a", b"/b", "/ä".encode(), b"/a"])) == [b"/b", b"/a", "/ä".encode()]


def test_batches_hold_every_name():
    assert list(rerun.batches([b"a", b"b", b"c"], 2)) == [[b"a", b"b"], [b"c"]]
    assert list(rerun.batches([], 2)) == []


def test_none_to_run_again_is_known_before_a_job_is_made():
    with pytest.raises(Problem, match="nothing"):
        rerun.at_least_one(iter([]), "nothing")
    assert list(rerun.at_least_one(iter([b"a", b"b"]), "nothing")) == [b"a", b"b"]


def test_a_new_job_is_as_the_old_one_was_asked_for():
    status = {"id": "x", "name": "n", "transient": False, "phases": [{"exec": "wc", "type": "map"}], "options": {}}
    assert rerun.body_of(status) == b'{"name":"n","phases":[{"exec":"wc","type":"map"}]}'
    assert rerun.body_of(status | {"transient": True}).endswith(b',"transient":true}')


@pytest.mark.parametrize(
    "words", [("0",), ("-0",), ("x",), ("-x",), ("",), ("²",), ("1.5",), ("9" * 5000,), ("1", "2")]
)
def test_what_is_no_number_of_an_output_is_refused(words):
    with click.Context(cat.command), pytest.raises(click.UsageError, match="is no number of an output"):
        cat.number(words)


@pytest.mark.parametrize(("word", "number"), [("1", 1), ("-1", -1), ("010", 10), ("9" * 18, 10**18 - 1)])
def test_outputs_are_counted_from_either_end(word, number):
    assert cat.number((word,)) == number


class Shown:
    """The jobs of a service that has these lists and objects; an object is its bytes, and its size if larger."""

    def __init__(self, lists: dict[str, list[bytes]], objects: dict[str, tuple[bytes, int]]) -> None:
        self.lists, self.objects, self.session = lists, objects, self

    def records(self, _job: str, kind: str):
        return iter(self.lists.get(kind, []))

    def call(self, _method: str, path: str, headers: dict[str, str]) -> Reply:
        if path not in self.objects:
            raise refusal(404, "ResourceNotFound", f"{path} was not found")
        data, size = self.objects[path]
        return Reply("", 206, "", {"content-range": f"bytes 0-{len(data) - 1}/{size}"}, data)


STATUS = {
    "id": "8bd3c96e", "name": "<b>&name", "timeCreated": "then", "timeDone": "now",
    "stats": {"tasks": 1, "outputs": 1, "errors": 1},
    "phases": [{"exec": "grep '<x>'", "type": "map", "assets": ["/j/stor/<a>"], "init": "<init>", "memory": 256}],
}  # fmt: skip


def test_nothing_that_others_wrote_is_markup_on_a_page():
    script = b"<script>alert(1)</script>"
    failed = b'{"code":"<c>","message":"<m>","what":"<w>"}'
    lists = {"in": [b"/j/stor/<i>"], "out": [b"/j/stor/o", b"/j/stor/gone"], "err": [failed]}
    mine = Shown(lists, {"/j/stor/<i>": (script, len(script)), "/j/stor/o": (b"a\0b", 3)})
    page = share_page.render(mine, STATUS, "<readme>")
    tags = {"<b>", "<x>", "<a>", "<init>", "<i>", "<script>", "<c>", "<m>", "<w>", "<readme>"}
    assert not [tag for tag in tags if tag in page]
    assert all(tag.replace("<", "&lt;").replace(">", "&gt;") in page for tag in tags)
    assert "<p>not a text</p>" in page
    assert "<p>ResourceNotFoundError: /j/stor/gone was not found</p>" in page
    assert "default-src 'none'" in page


def test_a_page_of_a_large_job_has_its_beginning():
    names = [b"/j/stor/%d" % number for number in range(1000)]
    line = b'{"code":"C","message":"M","what":"W"}'
    mine = Shown({"in": names, "out": names, "err": [line] * 1000}, {"/j/stor/0": (b"x" * 10_240, 20_000)})
    page = share_page.render(mine, STATUS, "")
    assert page.count("<h3>/j/stor/") == 50
    assert page.count("C: M\nW") == 10
    assert "<h2>Inputs (the first 25)</h2>" in page
    assert "<p>and 9760 bytes more</p>" in page
