"""The control plane: what a job is, how it advances, where its tasks run.

Sub-packages from the inside out, each importing only those before it:
model, engine, records, objects, (providers), supervisor and agent, gateway.
`ARCHITECTURE.md` is the map.
"""
