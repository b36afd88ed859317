"""Attempts: what one try of one task is given, what it leaves, and what that amounts to.

`attempt` is the record of one try. Before it starts it gets its input (`task_inputs`): a file for a
map task (`input_files`), a pipe that is fed for a reduce task (`reducer_input`), open files for one
that merges (`handed_input`); and its `environment`. While it runs its outputs are files without a
name (`capture`), and a long one is hashed meanwhile (`running_digest`). When it has ended, `verdict`
is the table that says what the end means, and `corefile` whether there was a core dump, and of which
signal. `reports` says that to the supervisor, with what is kept under its names (`output_names`).

An attempt knows nothing of pools or supervisors. Until a supervisor has committed its report,
its outputs are visible to the attempt alone.
"""
