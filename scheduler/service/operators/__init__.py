"""What operators ask and change: queries over all accounts and jobs, verification, backup.

A command of an operator works on the records and the objects themselves, not through a gateway: so it needs no
credential but access to them, and works while the service is stopped. Who can read the state directory, or connect to
the database, is an operator (`scheduler.service.administration`).
"""
