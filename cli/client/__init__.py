"""A client of the service: who I am, what I may sign with, and what can be asked.

A request needs four answers, and each has a file that gives it:

- Where, and as which account? `settings`: options win over `MANTA_*`, which win over the profile
  that a service on this machine leaves in its state directory. The profile only ever
  speaks for its own service: a URL from elsewhere gets no name and no key of it.
- Signed with what? `keys` finds the private key that a fingerprint means: in the ssh
  agent, among `~/.ssh`, or the profile's own key file.
- How? `session` signs method, path and date, and tells failures apart: a connection that
  never came about is tried again, an answer never is. Small questions go over plain
  `connection`s, one a thread, what streams through a `pool`. `retry` says what is sent again.
- What? `objects`, `transfer`, `tree` and `jobs` are the vocabulary of the service.

Memory is bounded: bodies stream, lists are pages, and nothing keeps what it has handed on.
Whatever goes wrong is a `Problem`, whose text is the sentence that the user reads.
"""
