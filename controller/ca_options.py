"""Arguments of `sekisho ca`, and of the authority of `sekisho up`."""

from __future__ import annotations

import argparse
import datetime
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from controller.config import DEFAULT_CERTIFICATE_LIFETIME, DEFAULT_TRUST_DOMAIN, StandaloneAuthoritySettings
from controller.terminal.writer import Writer
from gateway.admin.server import AdminAddress
from gateway.config import DEFAULT_ADMIN
from gateway.errors import SettingsError

if TYPE_CHECKING:
    from controller import ca_commands

_PART: Final = re.compile(r"(\d{1,6})([dhms])")
_UNITS: Final = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_DEFAULT_ADDRESS: Final = "127.0.0.1:15012"


def duration(text: str) -> datetime.timedelta:
    """``30s``, ``1h30m``, ``7d``."""
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise SettingsError(f"{text!r} is not a duration", "for example 30s, 90m, 24h or 7d")
    return datetime.timedelta(seconds=sum(int(number) * _UNITS[unit] for number, unit in parts))


def add_lifetime_options(parser: argparse.ArgumentParser) -> None:
    """What is the same for every authority."""
    parser.add_argument(
        "--trust-domain",
        default=DEFAULT_TRUST_DOMAIN,
        metavar="NAME",
        help="of the identities it issues (default: %(default)s)",
    )
    parser.add_argument(
        "--certificate-lifetime",
        default=DEFAULT_CERTIFICATE_LIFETIME,
        metavar="DURATION",
        help="of certificates it issues, for example 30s or 24h (default: %(default)s)",
    )


def add_standalone_options(parser: argparse.ArgumentParser) -> None:
    """The authority of `sekisho up`."""
    group = parser.add_argument_group("mesh authority", "certificates for machines that show a join token")
    group.add_argument(
        "--ca-dir", type=Path, metavar="DIRECTORY", help="keep the root here, made at the first start; without it none"
    )
    group.add_argument(
        "--ca", default=_DEFAULT_ADDRESS, metavar="HOST:PORT", help="where it answers (default: %(default)s)"
    )
    group.add_argument(
        "--ca-name",
        action="append",
        default=[],
        metavar="NAME",
        help="name or address by which machines reach it; may be repeated (default: localhost and that of --ca)",
    )
    add_lifetime_options(parser)


def standalone_authority(arguments: argparse.Namespace) -> StandaloneAuthoritySettings | None:
    """What the options say."""
    if arguments.ca_dir is None:
        return None
    address = AdminAddress.parse(arguments.ca, "--ca")
    names = tuple(arguments.ca_name) or tuple(dict.fromkeys(("localhost", address.host)))
    return StandaloneAuthoritySettings(
        directory=arguments.ca_dir,
        address=address,
        names=names,
        trust_domain=arguments.trust_domain,
        lifetime=duration(arguments.certificate_lifetime),
    )


# --- sekisho ca -------------------------------------------------------------------------------------


def fill_parser(parser: argparse.ArgumentParser) -> None:
    """Its commands."""
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    status = commands.add_parser("status", help="the root, when it ends, and where a change of roots stands")
    _complete(status, _status)

    rotate = commands.add_parser(
        "rotate", help="one phase further in a change of roots: trust the next, sign with it, drop the one before"
    )
    rotate.add_argument(
        "--root",
        type=Path,
        metavar="FILE",
        help="the next root: its certificates and its key, PEM (default: a new one)",
    )
    rotate.add_argument("--force", action="store_true", help="go on though somebody would be cut off")
    _complete(rotate, _rotate)

    token = commands.add_parser("token", help="join tokens").add_subparsers(metavar="COMMAND", required=True)
    create = token.add_parser("create", help="print a token that gets one certificate, once")
    _add_identity(create)
    create.add_argument(
        "--ttl", default="1h", metavar="DURATION", help="for so long it may be used, at most 7d (default: %(default)s)"
    )
    _complete(create, _create_token)

    for name, command, what in (
        ("deny", _deny, "an identity gets no certificate any more, and its streams end"),
        ("allow", _allow, "an identity that was denied gets certificates again"),
    ):
        parser = commands.add_parser(name, help=what)
        _add_identity(parser)
        _complete(parser, command)


def _add_identity(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--identity", required=True, metavar="spiffe://…", help="spiffe://DOMAIN/ns/NAMESPACE/sa/NAME")
    parser.add_argument(
        "--trust-domain",
        default=DEFAULT_TRUST_DOMAIN,
        metavar="NAME",
        help="the authority's (default: %(default)s)",
    )


def _complete(parser: argparse.ArgumentParser, command: Callable[[argparse.Namespace, Writer], int]) -> None:
    parser.add_argument("--ca-dir", type=Path, metavar="DIRECTORY", help="the authority of 'sekisho up --ca-dir'")
    parser.add_argument(
        "--namespace",
        default=os.environ.get("POD_NAMESPACE", ""),
        metavar="NAMESPACE",
        help="the authority of a cluster: the controller's namespace (default: $POD_NAMESPACE)",
    )
    parser.add_argument("--kubeconfig", type=Path, metavar="FILE", help="how to reach the cluster's API server")
    parser.add_argument(
        "--admin", default=DEFAULT_ADMIN, metavar="URL", help="of the controller that leads (default: %(default)s)"
    )
    parser.set_defaults(command=command)


# The commands import what they need: `sekisho --help` answers at once.


def _status(arguments: argparse.Namespace, writer: Writer) -> int:
    from controller import ca_commands  # noqa: PLC0415

    ca_commands.show(_place(arguments), writer)
    return 0


def _rotate(arguments: argparse.Namespace, writer: Writer) -> int:
    from controller import ca_commands  # noqa: PLC0415

    ca_commands.rotate(_place(arguments), arguments.root, writer, force=arguments.force)
    return 0


def _create_token(arguments: argparse.Namespace, writer: Writer) -> int:
    from controller import ca_commands  # noqa: PLC0415

    ca_commands.create_token(_place(arguments), arguments.identity, duration(arguments.ttl), writer)
    return 0


def _deny(arguments: argparse.Namespace, writer: Writer) -> int:
    from controller import ca_commands  # noqa: PLC0415

    ca_commands.deny(_place(arguments), arguments.identity, writer, denied=True)
    return 0


def _allow(arguments: argparse.Namespace, writer: Writer) -> int:
    from controller import ca_commands  # noqa: PLC0415

    ca_commands.deny(_place(arguments), arguments.identity, writer, denied=False)
    return 0


def _place(arguments: argparse.Namespace) -> ca_commands.Place:
    from controller import ca_commands  # noqa: PLC0415

    return ca_commands.Place(
        directory=arguments.ca_dir,
        namespace=arguments.namespace,
        kubeconfig=arguments.kubeconfig,
        admin=arguments.admin,
        trust_domain=getattr(arguments, "trust_domain", DEFAULT_TRUST_DOMAIN),
    )
