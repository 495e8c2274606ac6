"""nginx. Its one way to speak HTTP/2 to a backend in this release is the gRPC module, which carries any request."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.bench.identities import BACKEND_HOST
from tests.bench.peers.site import Peer, Site


class Nginx(Peer):
    name = "nginx"

    def configure(self, site: Site) -> Sequence[str | Path]:
        forward = _forward(site)
        listen = f"listen 127.0.0.1:{site.port}{' ssl' if site.tls else ''}{' http2' if site.tls or site.h2c else ''}"
        server = site.identities.server
        tls = f"ssl_certificate {server.chain}; ssl_certificate_key {server.key};" if site.tls else ""
        servers = []
        for number, (host, paths) in enumerate(site.by_host().items()):
            locations = "\n".join(f"location {path} {{ {forward} }}" for path in paths)
            suffix = " backlog=4096" if number == 0 else ""
            servers.append(f"server {{ {listen}{suffix}; server_name {host}; {tls}\n{locations} }}")
        directory = site.directory
        configuration = directory / "nginx.conf"
        temporary = "\n".join(
            f"{kind}_temp_path {directory}/nginx-{kind};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        configuration.write_text(
            f"""
worker_processes 1;
daemon off;
pid {directory}/nginx.pid;
error_log {directory}/nginx-error.log crit;
events {{ worker_connections 5000; }}
http {{
  access_log off;
  {temporary}
  keepalive_requests 1000000000;
  server_names_hash_max_size 8192;
  server_names_hash_bucket_size 128;
  upstream origin {{ server 127.0.0.1:{site.backend_port}; keepalive 256; keepalive_requests 1000000000; }}
  {chr(10).join(servers)}
}}
"""
        )
        return ["nginx", "-c", configuration, "-p", directory]


def _forward(site: Site) -> str:
    match site.workload.upstream:
        case "http1":
            return 'proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection "";'
        case "h2c":
            return "grpc_pass grpc://origin;"
        case "h2-mtls":
            edge = site.identities.edge
            return (
                f"grpc_pass grpcs://origin; grpc_ssl_certificate {edge.chain}; grpc_ssl_certificate_key {edge.key}; "
                f"grpc_ssl_verify on; grpc_ssl_trusted_certificate {site.identities.authority_file}; "
                f"grpc_ssl_name {BACKEND_HOST}; grpc_ssl_server_name on;"
            )
