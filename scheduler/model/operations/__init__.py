"""Operations: jobs whose stages we write ourselves, as a document describes them.

A user who says `{"type": "map", "spec": {"exec": "grep -c ERROR"}}` says what is to be done with the input, not how
it is divided. `document_checks` checks that, and `document` makes the stages of it (`stages`): phases of the job, with
a command of the user's or of ours, and the rule by which a stage's input is cut into tasks. `reasons` has the words for
why an attempt ended.

What an operation leaves behind is an *output*: one object, or a *set*, a directory of parts whose names are in their
order. Nothing of it is visible before all of it is.
"""
