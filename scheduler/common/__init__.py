"""What all processes of the service have in common, and no package's own subject.

    descriptors   how many files and sockets a process may have open
    watchdog      the report that an event loop does not turn

Modules here know nothing of jobs, objects or HTTP, and import nothing of ours.
"""
