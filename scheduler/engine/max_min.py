"""What one of several owners of work may have of a node that serves them all.

Supervisors do not talk to each other about nodes; the agent tells each how much of it is *away*,
in the service of the others. Who has no work has nothing. Who has some may have an equal part,
at once, whoever holds it now; what others leave of theirs is there to be used. So each supervisor
shares out its part as if it were alone, and the parts together are the node:

- with what the others use now as `others`, nobody is ever told less than an equal part;
- one that uses less than its part leaves the rest to those that can use more;
- once each keeps to its part, all of them together do not use more than there is.

Example: 8 slots, and three supervisors that use 1, 5 and 0 of them. The first two may have 4 and
7; the third, should it get work, may begin with 3, whereupon the second is told 4.
"""

from __future__ import annotations

from collections.abc import Iterable


def max_min_share(total: int, others: Iterable[int]) -> int:
    """How much of `total` one may have, while the others use so much; 0 of those have no work."""
    left = total
    using = sorted(use for use in others if use > 0)
    sharers = len(using) + 1
    for use in using:
        if use > left // sharers:
            break
        left -= use
        sharers -= 1
    return left // sharers
