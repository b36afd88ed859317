"""The rows of the table, by the name that selects one on the command line.

A row is a function `lines`: it gets the setting, prepares the data that its contestants share, lets
them take turns, and yields one line for each bar.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from bench.measure import Line
from bench.rows.data import counting, feeding, fetching, files, reducing, small_objects, sorting, splitting, transfer
from bench.rows.jobs import first_answer, many_objects, one_object, word_count
from bench.rows.service import cold_start, containers, distance, growth, records, supervising
from bench.setting import Setting

Row = Callable[[Setting], Iterator[Line]]

ROWS: Mapping[str, Row] = {
    "one": one_object.lines,
    "many": many_objects.lines,
    "supervisor": supervising.lines,
    "records": records.lines,
    "distance": distance.lines,
    "feed": feeding.lines,
    "fetch": fetching.lines,
    "split": splitting.lines,
    "sorting": sorting.lines,
    "reducing": reducing.lines,
    "transfer": transfer.lines,
    "puts": small_objects.lines,
    "files": files.lines,
    "logs": first_answer.lines,
    "start": cold_start.lines,
    "words": word_count.lines,
    "counting": counting.lines,
    "growth": growth.lines,
    "containers": containers.lines,
}
