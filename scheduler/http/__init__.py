"""HTTP servers: the part that all our HTTP doors share.

There are two doors: the gateway's, for users, and the one that each instance has for its tasks
(`scheduler.agent.task_api.endpoint`). A client must not be able to tell them apart: the same body is too
long, the same error has the same form, every reply carries the same headers. So everything about
HTTP that concerns neither routes nor rights is here:

    progress   the state of a request: its id, and whether its reply has begun
    body       reading what the client sends, and telling it to go on
    upload     from a body to a blob, hashed on the way
    ranges     the requested part of a file
    sending    from a file to the client, by the kernel
    roles      the answer to requests that name a role
    replies    JSON, errors, the headers of every reply
    protocol   errors before there is a request
    limits     the bounds on a server's connections, and which connection gives way to the next
    listener   sockets that accept within these bounds
    answering  the parts of a reply, and whether the connection ends with it
"""
