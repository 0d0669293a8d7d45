"""The history: a folder of scorecards, one a night, and what has changed over them."""
