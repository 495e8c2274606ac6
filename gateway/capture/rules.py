"""Rules of capture as text: one script for nftables, or commands for iptables where that is all there is.

Owns what is redirected. Everything stands in a table (or chains) of its own, so that taking it away touches nothing
else, and putting it there twice is the same as once. The ports of the sidecar that take redirected connections refuse
all others: those have no original destination, and would lead back to the sidecar without end.

What the sidecar dials is not captured, with one exception: a workload that calls itself by its Service is called by its
sidecar as any other would be, so the connection is led to the sidecar's own inbound port. The sidecar's connections to
the application have a mark of their own (:data:`OWN_WORKLOAD_DSCP`), by which they are told from those.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from gateway.capture.settings import LOOPBACK, CaptureSettings
from gateway.routing_table.marks import OWN_WORKLOAD_DSCP

TABLE: Final = "sekisho_capture"
OUTBOUND: Final = "SEKISHO_OUTBOUND"
INBOUND: Final = "SEKISHO_INBOUND"
SELF: Final = "SEKISHO_SELF"
GUARD: Final = "SEKISHO_GUARD"
FAMILIES: Final = {"iptables": 4, "ip6tables": 6}
_NFT_OPEN: Final = "tcp flags & (fin | syn | rst | ack) != syn return"
"""What was open before stays as it is: redirected halfway, it would break."""
_MOST_PORTS: Final = 15
"""Of one rule of iptables; a range counts twice."""

Command = tuple[str, ...]
_IPTABLES_OPEN: Final[Command] = ("-p", "tcp", "!", "--syn", "-j", "RETURN")


# --- nftables -------------------------------------------------------------------------------------


def nft_script(settings: CaptureSettings) -> str:
    """Puts the rules there, in one step, in place of those that are."""
    lines = [nft_undo().rstrip("\n"), f"table inet {TABLE} {{"]
    if _calls_itself(settings):
        lines += ["  chain self {", *(f"    {rule}" for rule in _nft_self(settings)), "  }"]
    if settings.outbound:
        lines += _chain("outbound", "type nat hook output priority -100", _nft_outbound(settings))
    if settings.inbound:
        lines += _chain("inbound", "type nat hook prerouting priority -100", _nft_inbound(settings))
    lines += _chain("guard", "type filter hook input priority 0", _nft_guard(settings))
    return "\n".join([*lines, "}"]) + "\n"


def nft_undo() -> str:
    """Takes exactly these rules away; nothing happens where there are none."""
    # Deleting a table that is not there is an error, and adding one that is there is none.
    return f"table inet {TABLE}\ndelete table inet {TABLE}\n"


def _chain(name: str, hook: str, rules: Iterable[str]) -> list[str]:
    return [f"  chain {name} {{", f"    {hook}; policy accept;", *(f"    {rule}" for rule in rules), "  }"]


def _nft_outbound(settings: CaptureSettings) -> Iterator[str]:
    yield "meta l4proto != tcp return"
    yield _NFT_OPEN
    for key, ids in (("skuid", settings.users), ("skgid", settings.groups)):
        if not ids:
            continue
        if _calls_itself(settings):
            yield f'meta {key} {_set(ids)} oifname "lo" jump self'
        yield f"meta {key} {_set(ids)} return"
    yield 'oifname "lo" return'
    yield f"ip daddr {_set(settings.ranges(4))} return"
    yield f"ip6 daddr {_set(settings.ranges(6))} return"
    if settings.excluded_outbound_ports:
        yield f"tcp dport {_set(settings.excluded_outbound_ports)} return"
    yield f"meta l4proto tcp redirect to :{settings.outbound_port}"


def _nft_self(settings: CaptureSettings) -> Iterator[str]:
    yield f"ip dscp {OWN_WORKLOAD_DSCP} return"
    yield f"ip6 dscp {OWN_WORKLOAD_DSCP} return"
    yield f"ip daddr {LOOPBACK[4]} return"
    yield f"ip6 daddr {LOOPBACK[6]} return"
    yield from _nft_to_inbound(settings)


def _nft_inbound(settings: CaptureSettings) -> Iterator[str]:
    yield "meta l4proto != tcp return"
    yield _NFT_OPEN
    yield 'iifname "lo" return'
    yield from _nft_to_inbound(settings)


def _nft_to_inbound(settings: CaptureSettings) -> Iterator[str]:
    yield f"tcp dport {_set(settings.untouched_inbound_ports)} return"
    yield f"tcp dport {_set(_captured_ports(settings))} return"
    yield f"meta l4proto tcp redirect to :{settings.inbound_port}"


def _nft_guard(settings: CaptureSettings) -> Iterator[str]:
    yield f"tcp dport {_set(_captured_ports(settings))} ct status & dnat == 0 reject with tcp reset"


def _captured_ports(settings: CaptureSettings) -> tuple[int, ...]:
    taken = ((settings.outbound, settings.outbound_port), (settings.inbound, settings.inbound_port))
    return tuple(port for captured, port in taken if captured)


def _calls_itself(settings: CaptureSettings) -> bool:
    """Whether both ways are captured: only then does a workload's call to itself go out and come in by the sidecar."""
    return settings.outbound and settings.inbound


def _set(items: Iterable[object]) -> str:
    return "{ " + ", ".join(str(item) for item in items) + " }"


# --- iptables -------------------------------------------------------------------------------------


def iptables_commands(program: str, settings: CaptureSettings) -> Iterator[Command]:
    """Puts the rules there for the family of ``program``, after :func:`iptables_undo`."""
    nat, guard = (program, "-w", "-t", "nat"), (program, "-w", "-t", "filter")
    if _calls_itself(settings):
        yield (*nat, "-N", SELF)
        for rule in _self(settings, FAMILIES[program]):
            yield (*nat, "-A", SELF, *rule)
    if settings.outbound:
        yield (*nat, "-N", OUTBOUND)
        for rule in _outbound(settings, FAMILIES[program]):
            yield (*nat, "-A", OUTBOUND, *rule)
        yield (*nat, "-A", "OUTPUT", "-p", "tcp", "-j", OUTBOUND)
    if settings.inbound:
        yield (*nat, "-N", INBOUND)
        for rule in _inbound(settings):
            yield (*nat, "-A", INBOUND, *rule)
        yield (*nat, "-A", "PREROUTING", "-p", "tcp", "-j", INBOUND)
    yield (*guard, "-N", GUARD)
    for port in _captured_ports(settings):
        match = ("-p", "tcp", "--dport", str(port), "-m", "conntrack", "!", "--ctstate", "DNAT")
        yield (*guard, "-A", GUARD, *match, "-j", "REJECT", "--reject-with", "tcp-reset")
    yield (*guard, "-A", "INPUT", "-p", "tcp", "-j", GUARD)


def iptables_undo(program: str) -> Iterator[Command]:
    """Takes them away; a command that fails found nothing to take away."""
    for table, chain, hook in (
        ("nat", OUTBOUND, "OUTPUT"),
        ("nat", INBOUND, "PREROUTING"),
        ("filter", GUARD, "INPUT"),
    ):
        start = (program, "-w", "-t", table)
        yield (*start, "-D", hook, "-p", "tcp", "-j", chain)
        yield (*start, "-F", chain)
        yield (*start, "-X", chain)
    # When nothing refers to it any more.
    yield program, "-w", "-t", "nat", "-F", SELF
    yield program, "-w", "-t", "nat", "-X", SELF


def _outbound(settings: CaptureSettings, version: int) -> Iterator[Command]:
    yield _IPTABLES_OPEN
    for option, ids in (("--uid-owner", settings.users), ("--gid-owner", settings.groups)):
        for number in ids:
            if _calls_itself(settings):
                yield "-m", "owner", option, str(number), "-o", "lo", "-j", SELF
            yield "-m", "owner", option, str(number), "-j", "RETURN"
    yield "-o", "lo", "-j", "RETURN"
    for block in settings.ranges(version):
        yield "-d", block, "-j", "RETURN"
    yield from _ports(settings.excluded_outbound_ports)
    yield "-p", "tcp", "-j", "REDIRECT", "--to-ports", str(settings.outbound_port)


def _self(settings: CaptureSettings, version: int) -> Iterator[Command]:
    yield "-m", "dscp", "--dscp", str(OWN_WORKLOAD_DSCP), "-j", "RETURN"
    yield "-d", LOOPBACK[version], "-j", "RETURN"
    yield from _to_inbound(settings)


def _inbound(settings: CaptureSettings) -> Iterator[Command]:
    yield _IPTABLES_OPEN
    yield "-i", "lo", "-j", "RETURN"
    yield from _to_inbound(settings)


def _to_inbound(settings: CaptureSettings) -> Iterator[Command]:
    yield from _ports(settings.untouched_inbound_ports)
    yield from _ports(str(port) for port in _captured_ports(settings))
    yield "-p", "tcp", "-j", "REDIRECT", "--to-ports", str(settings.inbound_port)


def _ports(ports: Iterable[str]) -> Iterator[Command]:
    texts = [port.replace("-", ":") for port in ports]
    each = _MOST_PORTS // 2
    for start in range(0, len(texts), each):
        yield "-p", "tcp", "-m", "multiport", "--dports", ",".join(texts[start : start + each]), "-j", "RETURN"
