"""Proofs of who asks: signatures of HTTP requests, shared secrets of processes, tickets between agents."""
