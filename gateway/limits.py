"""Limits of the process that a gateway outgrows."""

from __future__ import annotations

import resource


def raise_file_limit() -> int:
    """Raises the soft bound on open files to the hard one and returns it.

    A connection is a file, and the usual soft bound of 1,024 would stop the gateway far below its
    own bounds on connections. The hard bound stays the administrator's.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard
