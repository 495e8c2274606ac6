"""Where a gateway's identity comes from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gateway.errors import SettingsError

_UNIX = "unix:"


@dataclass(frozen=True)
class IdentitySettings:
    """One source is chosen: a token for the controller's authority, a directory of files, or a Workload API."""

    controller: str
    """``https://HOST:PORT``."""
    trust_bundle: Path
    """What the controller is verified by at first; it tells of changes itself."""
    token: Path | None = None
    """A service-account token, shown for every certificate."""
    join_token: Path | None = None
    """A token that is good once; what it got is renewed by what it got."""
    certificates: Path | None = None
    """A directory in which others put and rotate ``tls.crt``, ``tls.key`` and ``ca.crt``."""
    workload_api: str | None = None
    """The Unix socket of a SPIFFE Workload API: ``unix:///run/spire/agent.sock``."""

    def __post_init__(self) -> None:
        given = [self.token, self.join_token, self.certificates, self.workload_api]
        if sum(source is not None for source in given) != 1:
            raise SettingsError(
                "one source of the gateway's identity is needed, and only one",
                "give one of --token, --join-token, --certificates and --workload-api",
            )
        if self.workload_api is not None and not self.workload_socket.is_absolute():
            raise SettingsError(
                f"--workload-api {self.workload_api} is not of the form unix:///PATH",
                "for example unix:///run/spire/sockets/agent.sock",
            )

    @property
    def workload_socket(self) -> Path:
        """The path in :attr:`workload_api`."""
        given = self.workload_api or ""
        path = given.removeprefix(_UNIX)
        return Path("/" + path.lstrip("/")) if given.startswith(_UNIX) and path.startswith("/") else Path()
