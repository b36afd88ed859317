"""What a job is, as data.

Everything else in Remora passes these values around: a job's specification, the
tiers that instances come in, the names of objects, the errors that users see,
and the messages between supervisor and agents. They are plain data, checked when
they enter and trusted afterwards, and they import nothing of ours. So a value of
this package can be built in a test by writing it down.
"""
