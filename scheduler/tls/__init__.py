"""TLS, where bytes leave the machine.

A process proves itself by a *certificate*, and believes others by the certificates of an *authority*. Users check that
they talk to the gateway; nodes check each other, too (mutual TLS): a supervisor serves the agent that shows a
certificate of its node, and agents exchange intermediates with agents alone. What follows:

- A certificate says what it is for by URIs, `remora://ROLE/NAME` (`names`). A node's credential is good only on a
  connection with that node's certificate, so that one without the other is worth nothing.
- Files are read again on SIGHUP (`identity`). Every connection that begins then gets the new certificate and the new
  authorities; those that are open go on. New files that are broken change nothing, and the log says so.
- The authority of a cluster is a key in a directory of the operator's (`authority`); any other authority does as well.
- Plain HTTP stays on loopback unless an operator says otherwise (`plain`).

Example: node n1 has `cert.pem` with `remora://agent/n1`, `key.pem` and `ca.pem`. To exchange the authority, `ca.pem`
everywhere gets the old one and the new one, then nodes get new certificates, then `ca.pem` gets the new one alone.
Each step is new files and a SIGHUP, and no job notices.
"""
