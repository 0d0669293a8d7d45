"""The verbs of the command: one a file, whose click command has the name of the file.

Each parses its options, calls one function and prints. Heavy imports happen inside the
commands, so that `harness --help` is quick; numpy comes only after the number of BLAS
threads is fixed.
"""
