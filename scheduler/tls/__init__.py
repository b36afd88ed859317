"""TLS for bytes that leave the machine.

A process proves its identity by a *certificate*, and trusts the certificates of an *authority*. Users check the
gateway's certificate; nodes check each other's too (mutual TLS): a supervisor serves the agent that shows a
certificate of its node, and agents exchange intermediates with agents alone. What follows:

- A certificate names its roles by URIs, `remora://ROLE/NAME` (`names`). A node's credential is valid only on a
  connection with that node's certificate, so that one without the other is worthless.
- Files are read again on SIGHUP (`identity`). Every connection that begins then gets the new certificate and the new
  authorities; open connections continue. Invalid new files change nothing, and are logged.
- The authority of a cluster is a key in a directory of the operator's (`authority`); any other authority works as well.
- Plain HTTP stays on loopback unless an operator allows more (`plain`).

Example: node n1 has `cert.pem` with `remora://agent/n1`, `key.pem` and `ca.pem`. To replace the authority, `ca.pem`
everywhere gets the old one and the new one, then nodes get new certificates, then `ca.pem` gets the new one alone.
Each step is new files and a SIGHUP, and no job notices.
"""
