"""The tiers of instances, and the other fixed numbers of a phase.

A phase asks for one memory tier and one disk tier; they cap its instances, and a node must have so much
free to make one. Source: the Manta jobs API.
"""

MEMORY_MB = (128, 256, 512, 1024, 2048, 4096, 8192)
DISK_GB = (2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
DEFAULT_MEMORY_MB = 1024
DEFAULT_DISK_GB = 8

# The number of reducers of one phase, and so the exclusive upper bound of a reducer's index.
MAX_REDUCERS = 128

# The number of phases of a job, and of reducers in all its phases.
MAX_PHASES = 100
MAX_JOB_REDUCERS = 2048

# The published versions of the compute image, oldest first; jobs name ranges of them.
IMAGES = ("13.1.0", "13.3.4", "13.3.5", "13.3.6", "16.1.0")

# The longest timeout of a task in seconds, and the largest number of its retries.
MAX_TIMEOUT_S = 31_536_000
MAX_TRIES_AGAIN = 100

# Bytes of a job document.
MAX_JOB_BYTES = 100_000
