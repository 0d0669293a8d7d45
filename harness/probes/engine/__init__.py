"""Probes of an engine itself: each `measure(backend)` gives Measurements."""
