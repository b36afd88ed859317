"""Properties of the cut of an operation's inputs into slices."""

import itertools
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from scheduler.engine.operations.slicing import (
    Counted,
    Cursor,
    LineCursor,
    LineRange,
    Pin,
    Range,
    by_lines,
    cut,
    is_cuttable,
    wanted,
)

sizes = st.lists(st.integers(0, 50), max_size=30)


def pins_of(given_sizes, cuttable=True):
    return [Pin(seq, size, cuttable) for seq, size in enumerate(given_sizes)]


def all_ranges(want, pins) -> list[Range]:
    return [found for found, _ in cut(want, Cursor(), pins) if found is not None]


def in_order(ranges):
    return [(found.pin, at) for found in ranges for at in range(found.start, found.start + found.length)]


@given(sizes, st.integers(1, 60))
def test_every_byte_is_in_one_slice_and_in_order(given_sizes, tasks):
    want = wanted(sum(given_sizes), len(given_sizes), tasks, 1, False)
    ranges = all_ranges(want, pins_of(given_sizes))
    assert in_order(ranges) == [(seq, at) for seq, size in enumerate(given_sizes) for at in range(size)]
    assert [found.number for found in ranges] == sorted(found.number for found in ranges)
    assert all(found.length > 0 for found in ranges)


@given(sizes, st.integers(1, 60))
def test_as_many_slices_as_wanted_if_there_is_a_byte_for_each(given_sizes, tasks):
    total = sum(given_sizes)
    ranges = all_ranges(wanted(total, len(given_sizes), tasks, 1, False), pins_of(given_sizes))
    by_slice = [list(group) for _, group in itertools.groupby(ranges, key=lambda found: found.number)]
    lengths = [sum(found.length for found in group) for group in by_slice]
    if tasks <= total:
        assert len(lengths) == tasks
        assert max(lengths) - min(lengths) <= 1
    assert [[found.last for found in group] for group in by_slice] == [
        [False] * (len(group) - 1) + [True] for group in by_slice
    ]


@given(sizes, st.integers(1, 10))
def test_what_cannot_be_cut_stays_whole(given_sizes, tasks):
    want = wanted(sum(given_sizes), len(given_sizes), tasks, 1, False)
    ranges = all_ranges(want, pins_of(given_sizes, cuttable=False))
    assert [(found.pin, found.start, found.length) for found in ranges] == [
        (seq, 0, size) for seq, size in enumerate(given_sizes) if size
    ]
    assert len({found.number for found in ranges}) <= tasks
    assert not ranges or ranges[-1].last


@given(sizes, st.integers(1, 60), st.data())
def test_the_cut_goes_on_anywhere_as_if_it_had_not_stopped(given_sizes, tasks, data):
    want, pins = wanted(sum(given_sizes), len(given_sizes), tasks, 1, False), pins_of(given_sizes)
    undisturbed = all_ranges(want, pins)
    found, cursor, more = [], Cursor(), True
    while more:
        page = list(itertools.islice(cut(want, cursor, pins[cursor.seq :]), data.draw(st.integers(1, 5))))
        found += [one for one, _ in page if one is not None]
        more = bool(page)
        cursor = page[-1][1] if page else cursor
    assert found == undisturbed


@given(st.lists(st.integers(0, 9), max_size=20), st.integers(1, 200), st.data())
def test_a_cut_at_lines_gives_each_line_to_one_task_and_each_task_a_line(lines, wanted_tasks, data):
    total = sum(lines)
    tasks = min(wanted_tasks, total)
    found, cursor = [], LineCursor()
    for row, count in enumerate(lines):
        counted, more = Counted(100, count), tasks > 0
        while more:  # in pages of any size
            page = list(itertools.islice(by_lines(total, tasks, cursor, counted), data.draw(st.integers(1, 4))))
            found += [(row, each) for each, _ in page]
            cursor = page[-1][1] if page else cursor
            more = bool(page) and page[-1][0].upto is not None
        cursor = LineCursor(sum(lines[: row + 1]))
    given_to = [(row, line, each.number) for row, each in found for line in range(each.skip, upto(each, lines[row]))]
    assert [(row, line) for row, line, _ in given_to] == [
        (row, n) for row, count in enumerate(lines) for n in range(count)
    ]
    assert sorted({number for _, _, number in given_to}) == list(range(tasks))
    sizes_of = [sum(1 for _, _, each in given_to if each == number) for number in range(tasks)]
    assert not sizes_of or max(sizes_of) - min(sizes_of) <= 1
    last = {each.number for _, each in found if each.last}
    assert last == set(range(tasks))


def upto(each: LineRange, lines: int) -> int:
    return lines if each.upto is None else each.upto


@given(st.lists(st.integers(0, 50), min_size=1, max_size=30), st.integers(1, 5))
def test_a_slice_has_so_many_ranges_at_most(given_sizes, most):
    want = replace(wanted(sum(given_sizes), len(given_sizes), None, 1000, False), most=most)
    ranges = all_ranges(want, pins_of(given_sizes))
    assert in_order(ranges) == [(seq, at) for seq, size in enumerate(given_sizes) for at in range(size)]
    by_slice = [list(group) for _, group in itertools.groupby(ranges, key=lambda found: found.number)]
    assert all(len(group) <= most and group[-1].last for group in by_slice)


@given(sizes)
def test_each_object_is_a_task_if_that_is_wanted(given_sizes):
    ranges = all_ranges(wanted(sum(given_sizes), len(given_sizes), None, 1, True), pins_of(given_sizes))
    assert [(found.number, found.pin, found.length, found.last) for found in ranges] == [
        (seq, seq, size, True) for seq, size in enumerate(given_sizes)
    ]


def test_the_example_of_the_module():
    pins = pins_of([10, 0, 20])
    slices = [(r.number, r.pin, r.start, r.length) for r in all_ranges(wanted(30, 3, 3, 1, False), pins)]
    assert slices == [(0, 0, 0, 10), (1, 2, 0, 10), (2, 2, 10, 10)]


def test_compressed_objects_have_no_lines_to_cut_at():
    assert [is_cuttable("a.log", None), is_cuttable("a.gz", None), is_cuttable("a", "application/gzip")] == [
        True, False, False,
    ]  # fmt: skip
