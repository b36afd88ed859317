"""The command line: what a person, or a shell script, has of Remora.

A command is three things in a row: words become options (click), options become
requests (`client`), answers become lines. Each part can be read without the others:

- `client/` is a library. It knows the service, keys, names and jobs, and raises
  `Problem`, one sentence, when something is wrong. It never prints.
- `commands/` (objects), `jobs/` (`mjob`) and `service/` (`remora`) hold one command a
  file: its options, its help, and the few lines that join the two ends.
- `frame.py` is what all commands share: the common options, the shape of messages, and
  exit codes. Results go to stdout, everything else to stderr, and a reader that has seen
  enough (`mls | head`) is no error.

Start-up is felt, so nothing is imported before it is needed: `main.py` imports the one
command that was called, and HTTP, cryptography and TLS wait for the first request.

Example: `mls ~~/stor` is `main.mls`, then `commands/mls.py`, then `client.Session` signs
a HEAD and a GET for `/jill/stor`, and each line of the reply becomes a line of output.
"""
