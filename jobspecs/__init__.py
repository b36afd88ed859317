"""Job files for Nomad, as package data: the parts of the service on a cluster.

- `gateway.nomad.hcl`, `supervisor.nomad.hcl`: services, so many of each as `variables.hcl` says.
- `agent.nomad.hcl`: a system job, one agent on each node.
- `instance.nomad.hcl`: for reading. It is what a supervisor registers for a pool of instances.
- `policies/`: what the supervisors, and operators who deploy, must be allowed where Nomad asks for tokens.

`remora cluster deploy` registers them; with the variables filled in by hand, `nomad job run` does too.
"""
