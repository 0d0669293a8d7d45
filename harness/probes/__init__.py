"""Probes measure a live model and write numbers into the record; they judge nothing."""
