"""The Linux kernel, as far as providers need it: what Python's library has no calls for.

- To limit: `cgroups` (memory, processes), `bpf` programs that are hung on them, `loopback`, which
  gives every instance a loopback of its own on the machine's network.
- To look: `process_tree` of an instance, `disk_usage`, `memory_usage`.
- To separate: `user_ranges`, the users that instances are mapped to.
- To clean up: `removal` of trees that tasks left.
- `libc` has the system calls, `readiness` waits for descriptors on the event loop.

Nothing here knows what an instance or a task is.
"""
