"""nginx as what answers behind a proxy: one worker, no log, connections that stay open."""

from __future__ import annotations

from pathlib import Path

from tests.bench.machine import PinnedProcess

_TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


def start_nginx(directory: Path, core: int, servers: str) -> PinnedProcess:
    """``servers``: what stands inside ``http {}``. Its files lie in ``directory``, which is made."""
    directory.mkdir(parents=True, exist_ok=True)
    temporary = "\n".join(f"  {kind}_temp_path {directory}/{kind};" for kind in _TEMPORARY)
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
  sendfile on;
{temporary}
  keepalive_requests 1000000000;
  keepalive_timeout 1h;
  default_type text/plain;
{servers}
}}
"""
    )
    process = PinnedProcess(["nginx", "-c", configuration, "-p", directory], directory / "nginx.log", core)
    process.start()
    return process
