"""The backend: nginx with a small answer from memory, over HTTP/1.1, over h2c, and over HTTP/2 by mutual TLS."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.bench.identities import Identities
from tests.bench.machine import PinnedProcess
from tests.bench.nginx import start_nginx
from tests.bench.workloads import Upstream
from tests.support.ports import free_port

ANSWER = "x" * 128
WHO_CALLS = "/who-calls"
"""A path whose answer is what the app was told of its caller's certificate."""


@dataclass(frozen=True)
class Backend:
    """Where it listens."""

    http1: int
    h2c: int
    mutual_tls: int
    """HTTP/2 for those who show a certificate of the benchmark's authority."""
    process: PinnedProcess

    def port(self, protocol: Upstream) -> int:
        return {"http1": self.http1, "h2c": self.h2c, "h2-mtls": self.mutual_tls}[protocol]


def start_backend(directory: Path, core: int, identities: Identities) -> Backend:
    http1, h2c, mutual_tls = free_port(), free_port(), free_port()
    own = identities.backend
    process = start_nginx(
        directory,
        core,
        f"""
  server {{
    listen 127.0.0.1:{http1} backlog=4096;
    location / {{ return 200 "{ANSWER}"; }}
    location = {WHO_CALLS} {{ return 200 "$http_x_forwarded_client_cert"; }}
  }}
  server {{ listen 127.0.0.1:{h2c} http2 backlog=4096; return 200 "{ANSWER}"; }}
  server {{
    listen 127.0.0.1:{mutual_tls} ssl http2 backlog=4096;
    ssl_certificate {own.chain}; ssl_certificate_key {own.key};
    ssl_verify_client on; ssl_client_certificate {identities.authority_file};
    return 200 "{ANSWER}";
  }}
""",
    )
    return Backend(http1, h2c, mutual_tls, process)
