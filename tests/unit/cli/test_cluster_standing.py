"""The state of a node's agent in `remora cluster status`."""

from __future__ import annotations

import pytest

from cli.service.cluster.standing import LOST_MS, agent_of

HEARD = {"heard_ms_ago": 1000, "departed": False, "draining": False, "revoked": False}


@pytest.mark.parametrize(
    ("recorded", "word"),
    [
        (None, "none"),
        (HEARD, "runs"),
        (HEARD | {"draining": True}, "draining"),
        (HEARD | {"heard_ms_ago": LOST_MS}, "lost"),
        (HEARD | {"draining": True, "heard_ms_ago": LOST_MS}, "lost"),
        (HEARD | {"departed": True}, "ended"),
        (HEARD | {"departed": True, "revoked": True}, "revoked"),
    ],
)
def test_the_state_of_an_agent_is_a_word(recorded: dict[str, object] | None, word: str) -> None:
    assert agent_of(recorded) == word
