"""Short trainings by the harness's own loop, and single optimizers: what probes of steps use."""
