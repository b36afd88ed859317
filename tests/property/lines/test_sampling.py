"""The blocks of a sample: a little of everything, the same in pages of any size."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from scheduler.engine.operations.sampling import BLOCK, MOST, Block, SampleCursor, blocks_of, sample
from scheduler.engine.operations.slicing import Pin

SIZES = st.lists(st.integers(0, 40 * BLOCK), max_size=12)


def blocks(sizes: list[int], count: int, page: int) -> list[Block]:
    pins = [Pin(seq, size) for seq, size in enumerate(sizes)]
    found: list[Block] = []
    cursor = SampleCursor()
    while cursor.seq < len(pins) and cursor.block < count:
        some, cursor = sample(sum(sizes), count, cursor, pins[cursor.seq], page)
        found += some
    return found


@given(SIZES, st.integers(1, 50), st.integers(1, 7))
def test_blocks_lie_in_their_inputs_at_equal_distances(sizes: list[int], count: int, page: int) -> None:
    total = sum(sizes)
    found = blocks(sizes, count, page)
    assert len(found) == (count if total >= count else len(found))
    before = [sum(sizes[:seq]) for seq in range(len(sizes))]
    assert [before[each.pin] + each.start for each in found] == [k * total // count for k in range(count)][: len(found)]
    for each in found:
        assert 0 < each.length <= BLOCK
        assert each.start + each.length <= sizes[each.pin]


@given(SIZES, st.integers(1, 50), st.integers(1, 7))
def test_pages_make_no_difference(sizes: list[int], count: int, page: int) -> None:
    assert blocks(sizes, count, page) == blocks(sizes, count, 1000)


@given(st.integers(0, 1 << 50), st.integers(1, 5000))
def test_a_sample_has_some_blocks_and_not_more_than_are_there(total: int, partitions: int) -> None:
    assert 1 <= blocks_of(total, partitions) <= min(MOST, max(1, -(-total // BLOCK)))
