"""The pure parts of what mjob says about jobs: kinds of errors, what is left, labels, paces, moments, patience."""

from __future__ import annotations

from collections import Counter

import click
import pytest

from cli import table, when
from cli.client.problem import NoSuchJob, Problem, Refused, broken, refusal, unreachable
from cli.client.transport.patience import Patience, may_be_repeated
from cli.jobs import tasks
from cli.jobs.documents import specification, unfinished
from cli.jobs.follow import eta, interruption, outcome, output_printing
from cli.jobs.list import expression

NOW = 1_800_000_000_000
ID = "8bd3c96e-0000-4000-8000-000000000000"


def test_errors_are_of_one_kind_whatever_names_they_quote():
    records = [{"code": "C", "message": f'no such object: "/a/{n}"'} for n in range(3)] + [
        {"code": "D", "message": "m"}
    ]
    found = outcome.kinds(records)
    assert outcome.described(found, 4) == ['3 × C: no such object: "…"', "1 × D: m"]
    assert outcome.described(found, 9)[-1] == "(of the first 4 errors)"
    many = Counter({f"kind {n}": 1 for n in range(10)})
    assert outcome.described(many, 10)[-1] == "and 2 other kinds"


def test_a_cancelled_job_is_said_to_be_cancelled_whatever_errors_it_had():
    stats = {"errors": 3, "outputs": 0}
    assert outcome.sentence("J", {"cancelled": True, "stats": stats}) == "job J was cancelled"
    assert outcome.sentence("J", {"cancelled": False, "stats": stats}) == "job J had 3 errors"
    assert [line.split(":")[0].strip() for line in outcome.advice("J", {"cancelled": True, "stats": stats})] == [
        "each error",
        "run again what failed",
    ]


def task(name: str, phase: int = 0, state: str = "done") -> dict[str, object]:
    return {"p0input": name, "phaseNum": phase, "state": state}


def test_inputs_are_left_unless_all_that_descends_from_them_is_done():
    inputs = [b"/a", b"/b", b"/c", b"/d"]
    found = [task("/a"), task("/a", 1), task("/b"), task("/b", 1, "cancelled"), task("/c", state="failed")]
    assert list(unfinished.left(inputs, found)) == [b"/b", b"/c", b"/d"]


def test_an_input_that_was_added_twice_is_left_as_often_as_it_was_not_done():
    found = [task("/a"), task("/a", state="cancelled"), task("/a")]
    assert list(unfinished.left([b"/a"] * 4, found)) == [b"/a"] * 2


class Mine:
    account = "jill"


@pytest.mark.parametrize(
    ("name", "label"),
    [
        (f"/jill/jobs/J/stor/bob/public/x.1.0.{ID}", "/bob/public/x.1"),
        (f"/jill/jobs/J/stor/reduce.1.{ID}", "reduce"),
        ("/jill/stor/named", "/jill/stor/named"),
        ("/jill/jobs/J/stor/own name", "/jill/jobs/J/stor/own name"),
    ],
)
def test_an_output_is_labelled_by_what_it_came_from(name, label):
    assert output_printing.label(Mine(), "J", name.encode()) == label.encode()


def test_outputs_follow_their_inputs_and_the_others_come_last():
    label = {b"1": b"/b", b"2": b"reduce", b"3": b"/a", b"4": b"/b"}.__getitem__
    assert list(output_printing.ordered([b"1", b"2", b"3", b"4"], [b"/a", b"/b", b"/b"], label)) == [
        b"3",
        b"1",
        b"4",
        b"2",
    ]


def test_each_line_gets_its_tag_once_and_an_end():
    got: list[bytes] = []
    lines = output_printing.Tagged(b"t\t", got.append)
    for piece in (b"a\nb", b"b\r", b"c\n\n", b"d"):
        lines.write(piece)
    lines.end()
    assert b"".join(got) == b"t\ta\nt\tbb\rc\nt\t\nt\td\n"


@pytest.mark.parametrize("label", ["", "/", "..", "/jill/../x", "/jill/stor//x", "."])
def test_no_output_becomes_a_file_outside_of_the_directory(label):
    with pytest.raises(Problem, match="cannot be the name of a file"):
        output_printing.file_of(label.encode(), "jill")


def test_an_outputs_file_is_named_from_the_home_of_the_account():
    assert output_printing.file_of(b"/jill/stor/a", "jill") == "stor/a"
    assert output_printing.file_of(b"/bob/public/a", "jill") == "bob/public/a"


def test_the_rest_takes_a_time_between_two_paces():
    pace = eta.Pace()
    assert [pace.saw(at, done) for at, done in ((0, 0), (5, 90), (10, 100), (15, 105), (20, 110))]
    low, high = pace.bounds(11)
    assert (low, high) == (2.0, 11.0)
    assert eta.shown((low, high), phases=1) == "ETA 2s-11s"
    assert eta.shown((low, high), phases=2) == "ETA over 2s"
    assert eta.shown((200, 200), phases=1) == "ETA 3m20s"


def test_without_a_few_tasks_there_is_no_pace():
    pace = eta.Pace()
    assert pace.bounds(5) is None
    pace.saw(0, 7)
    pace.saw(9, 9)
    assert pace.bounds(5) is None


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("15m", 900), ("7d", 604_800), ("2w", 1_209_600)])
def test_an_age_is_a_moment_so_long_ago(text, seconds):
    assert when.moment(text, NOW) == NOW - seconds * 1000


@pytest.mark.parametrize("text", ["", "d", "7", "-1d", "1e3d", "x", "²d", "9999999999d", "2026-13-01"])
def test_what_is_no_moment_is_refused(text):
    with pytest.raises(click.BadParameter, match="neither an age"):
        when.Moment().convert(text, None, None)


def test_dates_are_moments_too():
    assert when.moment("1970-01-02T00:00:00Z", NOW) == 86_400_000


@pytest.mark.parametrize(("seconds", "shown"), [(-5, "0s"), (59, "59s"), (60, "1m"), (7200, "2h"), (900_000, "10d")])
def test_ages_are_short(seconds, shown):
    assert when.short(seconds) == shown


def test_a_table_is_as_wide_as_its_cells_and_no_wider_than_the_screen():
    rows = [("ID", "N"), ("abc", "10")]
    assert table.lines(rows, left=(0,)) == ["ID    N", "abc  10"]
    assert table.lines(rows, width=4) == [" ID", "abc"]


def test_phases_are_shown_as_they_are_typed():
    map_, reduce = {"type": "map", "exec": "grep x"}, {"type": "reduce", "exec": "sort"}
    assert expression([map_, map_, reduce]) == "grep x ^ grep x ^^ sort"
    assert expression([reduce]) == "^^ sort"


@pytest.mark.parametrize(
    ("message", "ending"),
    [
        ("user command exited with code 3", ("3", "0")),
        ("user command terminated by SIGKILL", ("0", "9")),
        ("user command terminated by SIGNOSUCH", ("0", "0")),
        ("out of memory", ("1", "0")),
    ],
)
def test_how_a_task_ended_is_told_by_its_error(message, ending):
    assert tasks.ending(message) == ending


@pytest.mark.parametrize(
    ("words", "phases", "lost"),
    [
        ([("count", 2), ("map", "wc")], [{"type": "map"}], True),
        ([("count", 2), ("reduce", "wc")], [{"type": "reduce"}], False),
        ([("count", 2), ("map", "wc"), ("reduce", "wc")], [{"type": "map"}, {"type": "reduce"}], True),
        ([("count", 2)], [{"type": "map"}], True),
        ([("count", 2)], [{"type": "map"}, {"type": "reduce"}], False),
        ([], [{"type": "map"}], False),
    ],
)
def test_a_count_without_a_reduce_phase_is_noticed(words, phases, lost):
    assert specification.without_reducers(words, phases) is lost


def test_a_client_that_loses_the_service_says_that_the_job_goes_on():
    with pytest.raises(Problem) as lost, interruption.telling_of("J", interruption.WATCHING):
        raise AWAY
    first, second, *rest = lost.value.message.splitlines()
    assert (first, second) == (AWAY.message, "stopped watching; job J goes on")
    assert [line.partition("mjob ")[2] for line in rest] == ["watch J", "cat J", "cancel J"]


def test_of_a_job_that_never_was_nothing_goes_on():
    with pytest.raises(NoSuchJob, match='no job "J"') as lost, interruption.telling_of("J", interruption.WATCHING):
        raise NoSuchJob("J")
    assert "goes on" not in lost.value.message


AWAY, BROKE, STARTING = unreachable("u", "r"), broken("u", "r"), refusal(503, None, None)


@pytest.mark.parametrize(
    ("problem", "get", "post"),
    [(AWAY, True, True), (BROKE, True, False), (STARTING, True, False), (refusal(404, None, None), False, False)],
)
def test_only_what_does_no_harm_is_asked_again(problem, get, post):
    assert (may_be_repeated(problem, "GET"), may_be_repeated(problem, "POST")) == (get, post)


def test_a_lost_service_is_told_once_and_asked_until_it_answers(monkeypatch):
    monkeypatch.setattr("cli.client.transport.patience.time.sleep", lambda _: None)
    said: list[str] = []
    answers = [AWAY, BROKE, STARTING, "answer"]

    def ask():
        if isinstance(answers[0], Problem):
            raise answers.pop(0)
        return answers[0]

    followed: list[int] = []
    assert Patience(said.append).asked("GET", ask, lambda: followed.append(1)) == "answer"
    assert len(followed) == 3
    assert said == [f"{AWAY.message}; asking again for 60 s", "the service answers again"]


def test_a_service_that_stays_away_is_a_problem_in_the_end():
    def ask():
        raise AWAY

    with pytest.raises(Problem, match="cannot reach u"):
        Patience(lambda _: None, seconds=0).asked("GET", ask)
    with pytest.raises(Refused):
        Patience(lambda _: None).asked("POST", lambda: (_ for _ in ()).throw(STARTING))
