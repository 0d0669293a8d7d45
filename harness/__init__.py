"""A milestone training benchmark harness on a numpy autograd engine.

The command is `harness`; the engine is `harness.autograd`.
"""

__version__ = "0.1.0"

__all__ = ["__version__"]
