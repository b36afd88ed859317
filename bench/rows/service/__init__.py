"""Rows of the service's own parts: its supervisor, its records, its instances, and its command line."""
