"""What our HTTP doors have in common.

There are two: the gateway's, for the world, and the one that each instance has for its tasks
(`scheduler.agent.endpoint`). Whoever comes through either must not be able to tell them apart:
the same body is too long, the same error has the same form, every reply carries the same
headers. So whatever is about HTTP, and about neither routes nor rights, is here:

    progress   how far a request has come: its id, and whether its reply has begun
    body       reading what the client sends, and telling it to go on
    upload     from a body to a blob, hashed on the way
    ranges     which part of a file is wanted
    sending    from a file to the client, by the kernel
    roles      what is answered to whoever names one
    replies    JSON, errors, the headers of every reply
    protocol   errors before there is a request
    limits     how many connections a server has, and which gives way to the next
    listener   sockets that accept within these bounds
    answering  which of all that a reply needs, and when the connection ends with it
"""
