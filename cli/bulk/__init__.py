"""Many files: trees and lists of files to the service, from it, and within it.

A bulk command is a *producer* and *workers*. The producer walks the source, a directory after its parent, makes the
directories of the target, and submits one act for each file. Workers, sixteen threads by default, do the acts, each
over a connection of its own. `run` has the threads, the counts, and what the user is told; `upload`, `download` and
`copying` are the producers and their acts; `local` is the one place that writes below a directory of this machine.

Four rules hold for all of them:

- What is there is not sent again. One listing of a target directory tells size and MD5 of all that is in it; a file
  of another size differs, one of the same size is hashed. So a run that was broken off is resumed by the same command.
- A name that fails is one sentence on stderr, the rest goes on, and the exit status is 1. Only what would fail for
  every name ends the run: the service cannot be reached, knows no such key, has no space.
- A file appears whole or not at all, under its own name. What has arrived of a large one is kept beside it
  (`.mget-….part`), and the next run asks for the rest.
- Nothing is written outside of the target directory: a name from the service is one name, never a path, and no
  symbolic link below the target is followed.

Small files (up to 1 MiB) are sent from memory with their MD5, those of a directory together, up to a hundred by one
request (`batch`). Larger ones are streamed (`client.transfer`).

Contents and names are what is copied, and nothing else: no times, modes or owners.
"""
