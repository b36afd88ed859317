"""Helpers that all processes of the service share, and that belong to no other package.

    addresses     hosts that stand for every address
    backoff       the pauses between tries of work that fails
    background    the tasks of an event loop that one component owns
    child         starting other programs
    descriptors   the limit on open files and sockets of a process
    ids           random ids, drawn from the kernel many at once
    private       a directory that no other user can write to, or put another in place of
    process       how often the collector of a serving process looks
    space         the reserve of a file system that must stay free
    watchdog      reports about an event loop that is blocked

Modules here know nothing of jobs, objects or HTTP, and import nothing of ours.
"""
