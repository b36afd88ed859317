"""Decisions about operations: where an operation stands, and how its input is cut into tasks. Pure, as all of `engine`.

`status` is a table of status × event, as `engine.task` is one of the states of a task. `slicing` cuts the concatenation
of an operation's inputs into slices, page by page, so that a million of them take no more memory than one.
"""
