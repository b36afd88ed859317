"""The database: who has accounts, which names exist, how jobs stand.

One idea: *the database is the state, and a transaction is the only event.* Every
process may be killed at any instant, and what a transaction committed is all that the
next process starts from. Three things follow:

- A transaction is dear (it ends in an fsync) and a statement is cheap. So writers hand
  functions to the one writer thread, which runs all that have gathered into one
  transaction and commits once: `Database.write`. Under load a commit carries hundreds of
  them; alone, a write waits for nobody.
- One function failing must not undo its neighbours, so each has a savepoint. It either
  happened whole and is durable when `write` returns, or it raised and changed nothing.
- Functions take a `Connection` and do no other I/O, so that records are written and
  tested without an event loop, and statements stay in `sql/`, each named, one set for
  every database.

What is over stays in the tables for a day, and what is open must be found without looking at it.
So open tasks have partial indices, and statements name the index that they mean (`INDEXED BY`):
the planner knows no table's size, and would as soon walk a million finished tasks.

`write` for changes, `read` for looking: reads have connections of their own and see the
last commit. `queries.py` loads the statements, `migrations` number the schema.

There are two engines below `database.py`, and everybody else knows neither: `sqlite.py` is one file for one process,
`engine.py` one server for a cluster (`server.py` its address and schema, `outage.py` what happens while it is away,
`pipeline.py` how statements travel, `dialect.py` what it spells differently).

`invariants.py` has the rules that hold after every transaction, each a query for what breaks it.
"""
