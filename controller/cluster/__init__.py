"""`sekisho controller`: the process that serves a cluster, composed of all other parts.

Owns the order of starting and stopping, and what follows what on a change. Decides nothing about objects:
that is translation's, and the data plane's.
"""
