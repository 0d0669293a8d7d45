"""Probes of one milestone's model: each `measure(specimen)` gives Measurements."""
