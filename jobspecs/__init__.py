"""Job files for Nomad, as package data: the components of the service on a cluster.

- `gateway.nomad.hcl`, `supervisor.nomad.hcl`: service jobs, with the counts that `variables.hcl` sets.
- `agent.nomad.hcl`: a system job, one agent on each node.
- `instance.nomad.hcl`: an example, for reading. A supervisor registers such a job for a pool of instances.
- `policies/`: the permissions that supervisors and the operator need where Nomad asks for tokens.

`remora cluster deploy` registers them; with the variables filled in by hand, `nomad job run` does too. HCL has no
include, so the job files repeat their variables.
"""
