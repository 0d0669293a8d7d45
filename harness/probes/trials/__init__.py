"""Calls of ops, layers and losses on hard inputs: what probes of an engine are made of."""
