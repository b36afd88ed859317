"""The caps of instances where the kernel does not hold them, and the disk of the node.

`tier_limits` measures memory, disk and time of each task and ends one that exceeds its tier; `disk_count` says when
the disk must be counted again; `disk_pressure` protects the other tasks when the node's disk itself runs out.
"""
