"""What all processes of the service have in common, and no package's own subject.

    addresses     hosts that stand for every address
    backoff       the pauses between tries of work that fails
    background    the tasks of an event loop that one component owns
    child         how other programs are started
    descriptors   how many files and sockets a process may have open
    private       a directory that no other user can write to, or put another in place of
    space         how much of a file system must stay free
    watchdog      the report that an event loop does not turn

Modules here know nothing of jobs, objects or HTTP, and import nothing of ours.
"""
