"""Watches look on while a model trains and write numbers into its record; they judge nothing."""
