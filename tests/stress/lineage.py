"""Nodes die, come back, are cut off; replies are lost; the supervisor is killed: a job for each seed, all simulated.

    python tests/stress/lineage.py --seeds 1000
    python tests/stress/lineage.py --from 4711 --seeds 1     what a seed did again

Each job must end with the outputs, errors, counters and usage of one that nothing happened to, and nothing may be
left on any node.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.support.simulated.runs import survives


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1000, metavar="N", help="so many jobs")
    parser.add_argument("--from", type=int, default=0, dest="first", metavar="SEED", help="the first seed")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    began, failed, remakes = time.monotonic(), [], 0
    for seed in range(options.first, options.first + options.seeds):
        try:
            remakes += survives(seed).remakes
        except AssertionError as error:
            failed.append(seed)
            print(f"seed {seed}: {error}", file=sys.stderr)
    print(
        f"{options.seeds} jobs, {remakes} tasks made again, {len(failed)} jobs that differ"
        f" {failed[:20] or ''}, {time.monotonic() - began:.0f} s"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
