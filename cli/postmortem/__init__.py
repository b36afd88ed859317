"""A task that has ended, looked into: its input, script, assets and caps once more, in a session or on this machine.

- `tasks` finds the task that is meant, and what its failure left.
- `inputs` finds its input. An object of the user is read by its name. What an earlier phase had made for it is not
  kept, and neither is what a reducer reads: then the phases before run again, in a job of their own, whose output is
  the input, and which is removed afterwards.
- `lineage` says which output of that job is the one: the names differ, but the places do not.
- `scripts` are what runs there: `run.sh`, the variables, and the beginning of a shell.

Example: of `grep ^^^^ sort`, the second reducer failed. Its input is the second output of a new job `grep ^^^^ cat` on
the same objects. A session, a map task on this output, has the variables of the reducer and `sort` in `./run.sh`.
"""
