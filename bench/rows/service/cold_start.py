"""The start-up time of a command that does little work, which a user notices at every prompt.

From the start of the process to its end, with all files in the page cache. The peer is an
interpreter that starts and does nothing, below which no command written in Python can go; it looks for no packages
(`-S`), so that what a development environment adds to each start counts as ours.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

from bench.measure import Bar, Line, Turn, interleave, seconds
from bench.setting import Setting
from tests.support.services.forks import command

LISTING = Bar(150, 55, absolute=True, at_most=True)
JOBS = Bar(150, absolute=True, at_most=True)


def lines(setting: Setting) -> Iterator[Line]:
    environment = setting.service.env

    def turn(*words: str) -> Turn:
        return lambda: (
            1000 * seconds(lambda: subprocess.run(words, env=environment, stdout=subprocess.DEVNULL, check=True))
        )

    mls, mjob = turn(*command("mls", setting.home)), turn(*command("mjob", "list"))
    nothing = turn(sys.executable, "-S", "-c", "0")
    for warm_up in (mls, mjob, nothing):
        warm_up()
    listed, jobs, floor = interleave(setting.size(11, 3), mls, mjob, nothing)
    yield Line("mls, cold start", "ms", listed, LISTING, "python -S -c 0", floor)
    yield Line("mjob list, cold start", "ms", jobs, JOBS, "python -S -c 0", floor)
