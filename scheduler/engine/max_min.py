"""Max-min fair share: how much of a node each of several supervisors may use.

Supervisors do not talk to each other about nodes; the agent tells each of them how much of the node is *away*: in use
by the others. A supervisor without work uses nothing. A supervisor with work may have an equal part at once, even if
another uses it now, and may use what others leave of theirs. So each supervisor shares out its part as if it were
alone, and the parts together are the node:

- with the present use of the others as `others`, no supervisor is ever told less than an equal part;
- a supervisor that uses less than its part leaves the rest to those that can use more;
- once each keeps to its part, all of them together use no more than there is.

Example: 8 slots, and three supervisors that use 1, 5 and 0 of them. The first two may have 4 and 7; the third, should
it get work, may begin with 3, and the second is then told 4.
"""

from __future__ import annotations

from collections.abc import Iterable


def max_min_share(total: int, others: Iterable[int]) -> int:
    """The amount of `total` that one may have while the others use `others`; an entry of 0 is one without work."""
    left = total
    using = sorted(use for use in others if use > 0)
    sharers = len(using) + 1
    for use in using:
        if use > left // sharers:
            break
        left -= use
        sharers -= 1
    return left // sharers
