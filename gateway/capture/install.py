"""Puts rules of capture into the network namespace of this process, and takes them away."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable, Sequence
from typing import Final, Literal

from gateway.capture.rules import FAMILIES, Command, iptables_commands, iptables_undo, nft_script, nft_undo
from gateway.capture.settings import CaptureSettings
from gateway.errors import SekishoError

Tool = Literal["nft", "iptables"]

_SECONDS: Final = 30.0


class CaptureError(SekishoError):
    """Rules that cannot be put there or taken away."""


def installed_tool() -> Tool:
    """nftables where there is it, else iptables."""
    if shutil.which("nft"):
        return "nft"
    if shutil.which("iptables"):
        return "iptables"
    raise CaptureError("neither nft nor iptables is installed", "install nftables")


def shown(tool: Tool, settings: CaptureSettings) -> str:
    """The rules as they would be put there."""
    if tool == "nft":
        return nft_script(settings)
    commands = (command for program in FAMILIES for command in iptables_commands(program, settings))
    return "".join(" ".join(command) + "\n" for command in commands)


def install(tool: Tool, settings: CaptureSettings) -> None:
    """Puts the rules there, in place of those that are."""
    if tool == "nft":
        _run(("nft", "-f", "-"), nft_script(settings))
        return
    undo(tool)
    for program in _families():
        for command in iptables_commands(program, settings):
            _run(command)


def undo(tool: Tool) -> None:
    """Takes exactly these rules away; there need not be any."""
    if tool == "nft":
        _run(("nft", "-f", "-"), nft_undo())
        return
    for program in _families():
        _try_each(iptables_undo(program))


def _families() -> Iterable[str]:
    """IPv4, and IPv6 where the machine has it."""
    return [program for program in FAMILIES if program == "iptables" or _succeeds((program, "-w", "-t", "nat", "-S"))]


def _try_each(commands: Iterable[Command]) -> None:
    for command in commands:
        _succeeds(command)


def _succeeds(command: Sequence[str]) -> bool:
    if shutil.which(command[0]) is None:
        return False
    return _ended(command, "").returncode == 0


def _run(command: Sequence[str], text: str = "") -> None:
    ended = _ended(command, text)
    if ended.returncode == 0:
        return
    said = ended.stderr.strip().splitlines()
    reason = said[0] if said else f"it ended with {ended.returncode}"
    remedy = "run it as root, with the capability NET_ADMIN" if "permitted" in ended.stderr.lower() else ""
    raise CaptureError(f"{command[0]} refuses the rules: {reason}", remedy)


def _ended(command: Sequence[str], text: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(  # noqa: S603 - a fixed program, and arguments that were checked
            command, input=text, capture_output=True, text=True, check=False, timeout=_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CaptureError(f"{command[0]} cannot be run: {error}") from error
