"""PostgreSQL as the engine of the records: the same statements, one writer in the whole cluster.

`engine` is the database: it holds the lock that makes one transaction run at a time, and tries
again when the server was away. `server` parses its address, opens sessions, and keeps the schema.
`dialect` rewrites the SQL that is spelled differently; `pipeline` sends many statements in one
round trip, and `values` has the forms of what they carry; `outage` waits for a server that is away,
and listens for announcements without missing any.
"""
