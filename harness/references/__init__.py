"""The reference: what another engine did in the first steps of a milestone, kept in a file.

`making` writes one, `course` takes the steps, `files` keeps it, `whole` tells if all of
it is there, `conventions` says what it means.
"""
