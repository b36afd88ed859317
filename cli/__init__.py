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

- `manual.py` and `roff.py` make the manual pages of what `--help` says.

Start-up is felt, so nothing is imported before it is needed: `main.py` imports the one
command that was called; cryptography waits for a key file, TLS for an https address, and
httpx for a transfer or for many requests at once.

Example: `mls ~~/stor` is `main.mls`, then `commands/mls.py`, then `client.Session` signs
a HEAD and a GET for `/jill/stor`, and each line of the reply becomes a line of output.
"""
