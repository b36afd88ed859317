"""`python -m scheduler.agent`: imports the agent, and runs it.

Garbage is not looked for meanwhile: what is imported stays, and the search takes an eighth of a start.
"""

from __future__ import annotations

import gc
import sys
from importlib import import_module

if __name__ == "__main__":
    gc.disable()
    process = import_module("scheduler.agent.process")
    gc.enable()
    sys.exit(process.main())
