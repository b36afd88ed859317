"""The tiers that instances come in, and the other fixed numbers of a phase.

A phase asks for one memory tier and one disk tier; they cap its instances and say what
a node must have free to make one. Source: the Manta jobs API.
"""

MEMORY_MB = (128, 256, 512, 1024, 2048, 4096, 8192)
DISK_GB = (2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
DEFAULT_MEMORY_MB = 1024
DEFAULT_DISK_GB = 8

# Reducers of one phase, and so the exclusive upper bound of a reducer's number.
MAX_REDUCERS = 128

# Phases of a job, and reducers of all its phases.
MAX_PHASES = 100
MAX_JOB_REDUCERS = 2048

# The published versions of the compute image, oldest first; jobs name ranges of them.
IMAGES = ("13.1.0", "13.3.4", "13.3.5", "13.3.6", "16.1.0")

# Seconds that a task of a phase may be given, and how often one that fails may be tried again.
MAX_TIMEOUT_S = 31_536_000
MAX_TRIES_AGAIN = 100

# Bytes of a job document.
MAX_JOB_BYTES = 100_000
