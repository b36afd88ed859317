"""Rows of bytes: into the service and out of it, between nodes, and to the programs of tasks."""
