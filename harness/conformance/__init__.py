"""What any engine owes, as many small cases with stable names: `harness conform` runs them.

L1 ops and their gradients, L2 layers and losses, L3 steps of optimizers, L4 the milestones, L5 the
trajectory of the reference. The numbers and the thresholds are those of the engine's probes.
"""
