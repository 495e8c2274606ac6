"""What every admin request passes first, and the headers every answer carries.

The admin endpoint listens on loopback, which a web page in a local browser can reach too. A page
whose name was rebound to 127.0.0.1 is stopped here by its ``Host``; reading across origins is
stopped by never answering CORS. An IP address as ``Host`` is fine: rebinding needs a name.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_LOOPBACK_NAMES: Final = frozenset({"localhost"})
_HEADERS: Final = {
    "cache-control": "no-store",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


def host_name(host: str) -> str:
    """The name in a ``Host`` field, lower case, without port, brackets and trailing dot; empty if malformed."""
    if host.startswith("["):
        name, bracket, _ = host[1:].partition("]")
        return name.lower() if bracket else ""
    return host.partition(":")[0].rstrip(".").lower()


class HostGuard:
    """ASGI middleware: refuses requests for names that are not this endpoint's."""

    def __init__(self, app: ASGIApp, allowed: Iterable[str] = ()) -> None:
        self._app = app
        self._allowed = _LOOPBACK_NAMES | {host_name(name) for name in allowed}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers itself, or hands on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        if self._is_allowed(Headers(scope=scope).getlist("host")):
            await self._app(scope, receive, send_guarded)
            return
        refusal = JSONResponse(
            {"error": "this Host is not an address of the admin endpoint", "remedy": "use its IP address or localhost"},
            status_code=421,
        )
        await refusal(scope, receive, send_guarded)

    def _is_allowed(self, hosts: list[str]) -> bool:
        if len(hosts) != 1:
            return False
        name = host_name(hosts[0])
        return name in self._allowed or _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
