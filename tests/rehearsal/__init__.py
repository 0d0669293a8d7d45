"""A rehearsal of the workflows: their steps are run for real, in a scratch clone."""
