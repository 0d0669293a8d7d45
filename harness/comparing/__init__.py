"""Two scorecards held against each other: pure functions of plain data, from `compare` down."""
