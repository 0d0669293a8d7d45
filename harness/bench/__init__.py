"""`harness bench`: how long a training step takes, measured in turn and from equal starts.

`measure` asks contenders in workers of their own; `results` is what comes out, `bars` what the
project asks of it.
"""
