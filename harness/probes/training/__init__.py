"""Probes of a whole training, after it: each gets a WholeTraining."""
