"""What all processes of the service have in common, and no package's own subject.

    child         how other programs are started

Modules here know nothing of jobs, objects or HTTP, and import nothing of ours.
"""
