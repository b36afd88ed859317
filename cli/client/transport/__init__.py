"""How requests travel: connections, proxies, and what is sent again.

`connection` is HTTP on one socket, plain and fast; `pool` shares connections and knows TLS and
proxies (`proxy`). `retry` says which requests may be sent again after a failure, and `patience`
how long a service that was there a moment ago is waited for.
"""
