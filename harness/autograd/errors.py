"""What the engine raises: AutogradError and its two children.

AutogradError
├── ShapeError (also a ValueError)    shapes that an op cannot combine
└── GraphError (also a RuntimeError)  a graph that cannot be walked backwards
"""

from __future__ import annotations


class AutogradError(Exception):
    """The base of every error that the engine raises on purpose."""


class ShapeError(AutogradError, ValueError):
    """Shapes that do not fit; the message names the op and both shapes."""


class GraphError(AutogradError, RuntimeError):
    """A backward pass that cannot be done, and why."""
