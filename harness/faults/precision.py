"""Numbers that overflow, are rounded, clipped or cut down to integers on the way."""

from __future__ import annotations
