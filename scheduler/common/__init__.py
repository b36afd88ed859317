"""What all processes of the service have in common, and no package's own subject.

    child         how other programs are started
    descriptors   how many files and sockets a process may have open
    private       a directory that no other user can write to, or put another in place of
    watchdog      the report that an event loop does not turn

Modules here know nothing of jobs, objects or HTTP, and import nothing of ours.
"""
