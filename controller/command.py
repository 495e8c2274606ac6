"""The entry of the ``sekisho`` command.

A gateway's process lives long and beside many others of its kind: it loads nothing that only the other commands need.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from gateway.errors import SekishoError


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["gateway"] and not {"-h", "--help"}.intersection(words):
        return _gateway(words[1:])
    from controller import cli  # noqa: PLC0415

    return cli.main(words)


def _gateway(options: Sequence[str]) -> int:
    from gateway.cli import cluster_settings, fill_gateway_parser  # noqa: PLC0415

    parser = argparse.ArgumentParser(prog="sekisho gateway")
    fill_gateway_parser(parser)
    parsed = parser.parse_args(options)
    try:
        from gateway.edge import run_edge  # noqa: PLC0415

        return run_edge(cluster_settings(parsed))
    except SekishoError as error:
        from controller import cli  # noqa: PLC0415

        return cli.failed(error)
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
