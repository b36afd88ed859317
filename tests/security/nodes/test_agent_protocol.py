"""A hostile node's messages, a thousand: `tests/stress/agent_fuzz.py` sends as many as one likes."""

from __future__ import annotations

from pathlib import Path

from tests.support.hostile.agent_messages import fuzzing

MESSAGES = 1000
SEED = 20


async def test_whatever_a_node_says_concerns_its_own_leases_alone(tmp_path: Path) -> None:
    async with fuzzing(tmp_path, SEED) as fuzz:
        await fuzz.run(MESSAGES)
        assert await fuzz.check() == []
        assert fuzz.had  # it was leased tasks of its own
        assert len(fuzz.honest) > len(fuzz.had)
