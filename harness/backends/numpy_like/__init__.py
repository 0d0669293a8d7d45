"""Parts for engines that offer numpy's functions and little more: ops, layers, optimizers.

No engine by itself: `harness.backends.mygrad` and `harness.backends.autograd` are made of it.
"""
