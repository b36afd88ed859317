"""Hostile messages of a node with a valid credential, as many as one likes, beside an honest node that works.

    python tests/stress/agent_fuzz.py [--messages 100000] [--seed N]

See `tests/support/hostile/agent_messages.py` for what is said and what must hold. Exit status 0 if it held. The seed is
printed, so that a failure can be repeated.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.support.hostile.agent_messages import fuzzing


async def main(messages: int, seed: int) -> int:
    logging.disable(logging.ERROR)
    with tempfile.TemporaryDirectory(prefix="remora-agent-fuzz-") as directory:
        async with fuzzing(Path(directory), seed) as fuzz:
            began = time.monotonic()
            await fuzz.run(messages)
            seconds = time.monotonic() - began
            wrong = await fuzz.check()
    for (kind, status), count in sorted(fuzz.answers.items()):
        print(f"{kind:12} {status} {count:8}")
    print(
        f"{fuzz.answers.total()} messages in {seconds:.0f} s beside {len(fuzz.jobs)} jobs of {len(fuzz.honest)} tasks;"
        f" {len(fuzz.had)} tasks were leased to the hostile node; longest stall {fuzz.worst_stall * 1000:.0f} ms"
    )
    for sentence in wrong[:20]:
        print(f"WRONG: {sentence}")
    return 1 if wrong else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 31))
    options = parser.parse_args()
    print(f"seed {options.seed}")
    sys.exit(asyncio.run(main(options.messages, options.seed)))
