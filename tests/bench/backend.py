"""The backend: nginx with a small answer from memory, over HTTP/1.1 and over h2c."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.bench.machine import PinnedProcess
from tests.support.ports import free_port

ANSWER = "x" * 128


@dataclass(frozen=True)
class Backend:
    """Where it listens."""

    http1: int
    h2c: int
    process: PinnedProcess


def start_backend(directory: Path, core: int) -> Backend:
    http1, h2c = free_port(), free_port()
    directory.mkdir(parents=True, exist_ok=True)
    configuration = directory / "nginx.conf"
    configuration.write_text(
        f"""
worker_processes 1;
daemon off;
pid {directory}/nginx.pid;
error_log {directory}/error.log crit;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  keepalive_requests 1000000000;
  keepalive_timeout 1h;
  default_type text/plain;
  server {{ listen 127.0.0.1:{http1} backlog=4096; return 200 "{ANSWER}"; }}
  server {{ listen 127.0.0.1:{h2c} http2 backlog=4096; return 200 "{ANSWER}"; }}
}}
"""
    )
    process = PinnedProcess(["nginx", "-c", configuration, "-p", directory], directory / "nginx.log", core)
    process.start()
    return Backend(http1, h2c, process)
