"""Turns of the writer: bulk of one account gives way to another account, and to nothing of its own."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from scheduler.records.turns import ACTIVE_SECONDS, ALONE, HEAVY_SECONDS, WriterTurns

PAGE = 0.01  # seconds that a commit with bulk takes here


@dataclass(frozen=True)
class Work:
    name: str
    accounts: frozenset[str]
    bulk: bool = False


class Writer:
    """Turns, and a clock that only commits and `wait` advance."""

    def __init__(self) -> None:
        self.turns: WriterTurns[Work] = WriterTurns()
        self.now = 100.0

    def small(self, name: str, *accounts: str) -> None:
        self.turns.add(Work(name, frozenset(accounts)), self.now)

    def bulk(self, names: str, *accounts: str) -> None:
        for name in names.split():
            self.turns.add(Work(name, frozenset(accounts), bulk=True), self.now)

    @property
    def patience(self) -> float | None:
        return self.turns.patience(self.now)

    def commit(self, most: int = 512) -> str:
        """Commit what has its turn; the names."""
        group, began = self.turns.take(self.now, most), self.now
        self.now += PAGE if any(work.bulk for work in group) else PAGE / 10
        self.turns.committed(group, began, self.now)
        return " ".join(work.name for work in group)

    def wait(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def writer() -> Writer:
    return Writer()


def test_small_works_share_the_next_commit_whosever_they_are(writer):
    assert writer.patience is None
    for name, accounts in (("a", ["jill"]), ("b", ["bob"]), ("c", []), ("d", ["jill", "bob"])):
        writer.small(name, *accounts)
    assert writer.patience == 0
    assert writer.commit() == "a b c d"
    assert writer.patience is None


def test_a_commit_has_a_bounded_number_of_small_works(writer):
    for name in "abcde":
        writer.small(name, "jill")
    assert [writer.commit(most=2) for _ in range(3)] == ["a b", "c d", "e"]


def test_bulk_of_an_account_alone_waits_for_nothing_of_its_own(writer):
    writer.bulk("p0 p1 p2 p3 p4 p5", "jill")
    writer.small("grant", "jill")
    writer.small("beat")
    assert ALONE == 4
    assert writer.commit() == "grant beat p0 p1 p2 p3"
    assert writer.patience == 0
    assert writer.commit() == "p4 p5"


def test_bulk_beside_another_account_is_one_work_and_rests_as_long_as_that_took(writer):
    writer.bulk("p0 p1 p2", "jill")
    writer.small("s0", "bob")
    assert writer.commit() == "s0 p0"
    assert writer.patience == pytest.approx(PAGE)
    writer.small("s1", "bob")
    assert writer.patience == 0
    assert writer.commit() == "s1"
    writer.wait(writer.patience)
    assert writer.patience == 0
    assert writer.commit() == "p1"


def test_bulk_rests_although_nothing_of_the_other_account_waits(writer):
    writer.small("s0", "bob")
    writer.commit()
    writer.bulk("p0 p1", "jill")
    assert writer.commit() == "p0"
    assert writer.patience == pytest.approx(PAGE)


def test_small_works_of_the_same_account_and_of_the_service_do_not_make_bulk_rest(writer):
    writer.bulk("p0 p1 p2 p3 p4 p5 p6 p7 p8", "jill")
    committed = []
    while writer.patience is not None:
        writer.small("own", "jill")
        writer.small("beat")
        committed.append(writer.commit())
        if len(committed) == 3:
            break
    assert committed == ["own beat p0 p1 p2 p3", "own beat p4 p5 p6 p7", "own beat p8"]


def test_an_account_that_is_quiet_again_is_waited_for_no_more(writer):
    writer.small("s0", "bob")
    writer.commit()
    writer.bulk("p0 p1 p2", "jill")
    writer.commit()
    writer.wait(ACTIVE_SECONDS)
    assert writer.commit() == "p1 p2"


def test_bulk_has_half_of_the_writers_time_however_much_another_account_sends(writer):
    writer.bulk(" ".join(f"p{n}" for n in range(100)), "jill")
    began, bulk = writer.now, 0
    for number in range(200):
        writer.small(f"s{number}", "bob")
        bulk += "p" in writer.commit()
    assert bulk * PAGE / (writer.now - began) == pytest.approx(0.5, abs=0.05)


def test_heavy_accounts_take_turns_and_do_not_rest_for_each_other(writer):
    writer.bulk("j0 j1 j2", "jill")
    writer.bulk("b0 b1", "bob")
    writer.small("sj", "jill")
    writer.small("sb", "bob")
    assert [writer.commit() for _ in range(5)] == ["sj sb j0", "b0", "j1", "b1", "j2"]


def test_an_account_is_heavy_for_a_while_only(writer):
    writer.bulk("b0", "bob")
    writer.commit()
    writer.wait(HEAVY_SECONDS)
    writer.small("sb", "bob")
    writer.bulk("j0 j1", "jill")
    assert writer.commit() == "sb j0"
    assert writer.patience == pytest.approx(PAGE)


def test_reports_about_several_accounts_rest_for_none_of_them_and_make_none_heavy(writer):
    writer.small("sb", "bob")
    writer.bulk("r0 r1", "jill", "bob")
    assert writer.commit() == "sb r0 r1"
    writer.small("sb", "bob")
    writer.bulk("j0", "jill")
    assert writer.commit() == "sb"
    writer.wait(writer.patience)
    assert writer.commit() == "j0"


def test_what_waits_at_the_end_is_taken_whosever_turn_it_is(writer):
    writer.small("s0", "bob")
    writer.bulk("p0 p1", "jill")
    writer.bulk("q0", "eve")
    taken = []
    while group := writer.turns.take_any(2):
        taken.append([work.name for work in group])
    assert taken == [["s0", "p0"], ["p1", "q0"]]
