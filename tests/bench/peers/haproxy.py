"""HAProxy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.bench.identities import BACKEND_HOST
from tests.bench.peers.site import Peer, Site


class HAProxy(Peer):
    name = "haproxy"

    def configure(self, site: Site) -> Sequence[str | Path]:
        bind = f"bind 127.0.0.1:{site.port} backlog 4096"
        if site.tls:
            bind += f" ssl crt {site.identities.server.both} alpn h2,http/1.1"
        elif site.h2c:
            bind += " proto h2"
        map_file = site.directory / "routes.map"
        map_file.write_text("\n".join(f"{host}{path} origin" for host, path in site.workload.routes()) + "\n")
        one_route = site.workload.shape == "one route"
        choose = "default_backend origin" if one_route else f"use_backend %[base,map_beg({map_file})]"
        configuration = site.directory / "haproxy.cfg"
        configuration.write_text(
            f"""
global
  nbthread 1
  maxconn 5000
  tune.ssl.default-dh-param 2048
defaults
  mode http
  timeout connect 5s
  timeout client 1h
  timeout server 1h
  http-reuse always
frontend edge
  {bind}
  {choose}
backend origin
  server origin 127.0.0.1:{site.backend_port}{_upstream(site)}
"""
        )
        return ["haproxy", "-db", "-f", configuration]


def _upstream(site: Site) -> str:
    match site.workload.upstream:
        case "http1":
            return ""
        case "h2c":
            return " proto h2"
        case "h2-mtls":
            known = site.identities
            return (
                f" ssl alpn h2 crt {known.edge.both} ca-file {known.authority_file} verify required"
                f" verifyhost {BACKEND_HOST} sni str({BACKEND_HOST})"
            )
