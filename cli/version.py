"""The version, as a constant: asking the package metadata costs a directory scan at every start."""

VERSION = "0.1.0"
SUMMARY = "Remora: compute jobs that ride on stored objects"
RELEASED = "2026-11-20"
