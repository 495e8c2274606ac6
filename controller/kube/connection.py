"""Where the API server is and how to prove who we are: inside of a cluster, or by a kubeconfig file.

Owns reading those settings. Tokens are read again as they are rotated, so none is kept for long.
"""

from __future__ import annotations

import base64
import binascii
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from gateway.errors import SettingsError

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_TOKEN_SECONDS = 30.0


class Token:
    """A bearer token: given once, or in a file that is read again."""

    def __init__(self, value: str = "", file: Path | None = None, now: Callable[[], float] = time.monotonic) -> None:
        self._value = value
        self._file = file
        self._now = now
        self._read_at = -_TOKEN_SECONDS

    def __repr__(self) -> str:
        return f"Token(<redacted>, file={self._file})"

    def read(self) -> str:
        """The token as it is now; the one before where the file cannot be read. Empty: there is none."""
        if self._file is not None and (not self._value or self._now() - self._read_at >= _TOKEN_SECONDS):
            try:
                self._value = self._file.read_text().strip() or self._value
            except OSError:
                return self._value
            self._read_at = self._now()
        return self._value

    def refused(self) -> None:
        """The API server does not take it: the file is read again at the next use."""
        self._read_at = -_TOKEN_SECONDS


@dataclass(frozen=True)
class Connection:
    """How to reach an API server."""

    server: str
    """URL without a trailing slash."""
    authority: str | None = None
    """File of the certificates that the server's may come from; None for the system's."""
    certificate: str | None = None
    key: str | None = None
    server_name: str | None = None
    verify: bool = True
    token: Token = field(default_factory=Token)
    namespace: str = "default"
    """The namespace we run in, or the one that the kubeconfig's context names."""
    private_folder: str | None = None
    """Holds what a kubeconfig carries inline; removed by :meth:`forget`."""

    def forget(self) -> None:
        """Removes the files that were made for this connection."""
        if self.private_folder is not None:
            shutil.rmtree(self.private_folder, ignore_errors=True)


def in_cluster(environment: Mapping[str, str] = os.environ, folder: Path = SERVICE_ACCOUNT) -> Connection:
    """The connection that Kubernetes gives to every pod."""
    host, port = environment.get("KUBERNETES_SERVICE_HOST", ""), environment.get("KUBERNETES_SERVICE_PORT", "")
    if not host or not port or not (folder / "token").is_file():
        raise SettingsError(
            "this process does not run in a pod with a service account",
            "give --kubeconfig FILE, or set automountServiceAccountToken: true on the pod",
        )
    namespace = folder / "namespace"
    return Connection(
        server=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}",
        authority=str(folder / "ca.crt"),
        token=Token(file=folder / "token"),
        namespace=namespace.read_text().strip() if namespace.is_file() else "default",
    )


def from_kubeconfig(path: Path, context: str = "") -> Connection:
    """The connection of a context, the current one by default."""
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingsError(f"{path} cannot be read as a kubeconfig file: {error}", "check the path") from error
    if not isinstance(content, dict):
        raise SettingsError(f"{path} is not a kubeconfig file", "check the path")
    return _KubeConfig(path, content).connection(context)


class _KubeConfig:
    """A kubeconfig file; paths in it are relative to its folder."""

    def __init__(self, path: Path, content: dict[str, Any]) -> None:
        self._path = path
        self._content = content
        self._folder: str | None = None

    def connection(self, name: str) -> Connection:
        context = self._named("contexts", "context", name or self._content.get("current-context") or "")
        cluster = self._named("clusters", "cluster", context.get("cluster") or "")
        user = self._named("users", "user", context["user"]) if context.get("user") else {}
        for unsupported in ("exec", "auth-provider", "username"):
            if unsupported in user:
                raise SettingsError(
                    f"{self._path}: the user {context['user']} authenticates by {unsupported}, which is not supported",
                    "use a client certificate, a token, or a tokenFile (kubectl create token)",
                )
        server = cluster.get("server")
        if not isinstance(server, str) or not server.startswith(("https://", "http://")):
            raise SettingsError(f"{self._path}: the cluster {context.get('cluster')} has no server", "set its URL")
        token_file = user.get("tokenFile")
        return Connection(
            server=server.rstrip("/"),
            authority=self._file(cluster, "certificate-authority"),
            certificate=self._file(user, "client-certificate"),
            key=self._file(user, "client-key"),
            server_name=cluster.get("tls-server-name"),
            verify=not cluster.get("insecure-skip-tls-verify", False),
            token=Token(str(user.get("token") or ""), self._resolved(token_file) if token_file else None),
            namespace=context.get("namespace") or "default",
            private_folder=self._folder,
        )

    def _named(self, section: str, field_name: str, name: str) -> dict[str, Any]:
        for entry in self._content.get(section) or []:
            if isinstance(entry, dict) and entry.get("name") == name and isinstance(entry.get(field_name), dict):
                found: dict[str, Any] = entry[field_name]
                return found
        what = f"{field_name} {name!r}" if name else "current-context"
        raise SettingsError(f"{self._path} has no {what}", f"check {section} in the file")

    def _resolved(self, name: str) -> Path:
        return self._path.parent / name

    def _file(self, entry: dict[str, Any], name: str) -> str | None:
        inline = entry.get(f"{name}-data")
        if not inline:
            given = entry.get(name)
            return str(self._resolved(given)) if given else None
        try:
            content = base64.b64decode(inline, validate=True)
        except (binascii.Error, TypeError, ValueError) as error:
            raise SettingsError(f"{self._path}: {name}-data is not base64", "write the file anew") from error
        # TLS contexts load from files alone. The folder is readable by this user only.
        self._folder = self._folder or tempfile.mkdtemp(prefix="sekisho-")
        target = Path(self._folder) / name
        target.write_bytes(content)
        target.chmod(0o600)
        return str(target)
