"""Rows of jobs: from a submission to its outputs."""
