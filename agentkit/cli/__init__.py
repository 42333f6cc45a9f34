"""The command line: one file a command, each imported only when it runs.

Rule: stdout is the answer only; everything else goes to stderr.
"""
