"""The database (records): accounts, names of objects, and the state of jobs.

One idea: *the database is the state, and a transaction is the only event.* Every process may be killed at any
instant, and the next process starts from what was committed. Three things follow:

- A transaction is expensive (it ends in an fsync) and a statement is cheap. So writers hand functions to the one
  writer thread, which runs all that wait in one transaction and commits once: `Database.write`. Under load a commit
  carries hundreds of them; without load, a write waits for no other.
- A function that fails must not undo its neighbours, so each has a savepoint. Either all of its changes are durable
  when `write` returns, or it raised and changed nothing.
- Functions take a `Connection` and do no other I/O. So they can be tested without an event loop, and the SQL stays in
  `sql/`, each statement named, one set for every database.

Finished rows stay in the tables for a day, and unfinished ones must be found without reading them. So unfinished tasks
have partial indices, and statements name the index that they mean (`INDEXED BY`): the planner knows no table's size,
and might scan a million finished tasks.

`write` is for changes, `read` for queries: reads have connections of their own and see the last commit. `queries.py`
loads the statements, `migrations` number the schema.

Two engines implement `database.py`, and no caller depends on which: `sqlite.py` is one file for one process,
`postgres/` one server for a cluster.

`invariants.py` has the rules that hold after every transaction, each a query for rows that break it.
"""
