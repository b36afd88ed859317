"""The data model of jobs: plain values that all other packages pass to each other.

It has a job's specification, the tiers of instances, the names of objects, the errors that users see,
and the messages between supervisor and agents. They are checked when they enter the service and
trusted afterwards, and they import nothing of ours. So a test can build any value of this package by
writing it down.
"""
