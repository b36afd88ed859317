"""The task API: what a running task may ask of the service, and how it asks.

A task has two ways out of its instance. Tools (`mpipe`, `mcat`, `mtee`, `msplit`) ask for
descriptors over a Unix socket: `tool_requests`, by `tool_channel`. Anything else speaks HTTP to
`MANTA_URL`: `endpoint`, whose port (`instance_port`) lets only the instance's own processes in
(`caller` asks the kernel whose connection it is).

Whatever asks is taken for the task that runs in the instance at that moment (`task_host`), and
`turns` bounds what one instance can make the agent do. Outputs by HTTP are `emission`; those too
many to hold until the task ends get their blob before, and are still not visible (`publish`). A task reads what it
has emitted (`own_outputs`); every other request goes to the gateway with the job's credentials
(`forward`).
"""
