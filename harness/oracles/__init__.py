"""What layers, ops and losses should compute, from their formulas: numpy alone, no engine.

Everything here is in float64 and written in the most obvious way, so that it shares no
trick, and no bug, with an engine that is held against it.
"""
