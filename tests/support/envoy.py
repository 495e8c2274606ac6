"""A real Envoy, configured as Istio configures its sidecars: identities, protocols by ALPN, and HBONE."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.bench.peers.envoy import ENVOY_TYPES, envoy_program
from tests.support.mesh_engine import TRUST_DOMAIN, Mesh, account
from tests.support.processes import ManagedProcess
from tests.support.waiting import eventually

Json = dict[str, Any]
ISTIO_PROTOCOLS = ("istio", "istio-peer-exchange", "istio-http/1.0", "istio-http/1.1", "istio-h2")


class Envoy:
    """The configuration of one process, whose identity is ``name``."""

    def __init__(self, mesh: Mesh, name: str) -> None:
        self._issued = mesh.issue(account(name))
        self._bundle = mesh.bundle
        self._listeners: list[Json] = []
        self._clusters: list[Json] = []

    # --- inbound --------------------------------------------------------------------------------

    def inbound(self, port: int, app_port: int, *callers: str, strict: bool = True, http2: bool = False) -> None:
        """HTTP for an app: mutual TLS with any of these callers, plaintext too unless it is strict."""
        self._cluster("app", app_port, http2=http2)
        chain = self._http_chain("app")
        secured = {
            **chain,
            "transport_socket": self._downstream(callers, ("h2", "http/1.1")),
            "filter_chain_match": {"transport_protocol": "tls", "application_protocols": list(ISTIO_PROTOCOLS)},
        }
        plain = [] if strict else [{**chain, "filter_chain_match": {"transport_protocol": "raw_buffer"}}]
        self._listener(port, [secured, *plain], inspects=True)

    def tunnels(self, port: int, app_port: int, *callers: str) -> None:
        """The end of HBONE: CONNECT requests to the app's port, and nothing else."""
        self._cluster("app", app_port)
        route: Json = {
            "match": {"connect_matcher": {}},
            "route": {"cluster": "app", "upgrade_configs": [{"upgrade_type": "CONNECT", "connect_config": {}}]},
        }
        hosts = [{"name": "app", "domains": ["*"], "routes": [route]}]
        more = {"upgrade_configs": [{"upgrade_type": "CONNECT"}], "http2_protocol_options": {"allow_connect": True}}
        chain = {
            "filters": [_manager(hosts, more)],
            "transport_socket": self._downstream(callers, ("h2",)),
        }
        self._listener(port, [chain])

    # --- outbound -------------------------------------------------------------------------------

    def outbound(self, port: int, target: int, callee: str, *, http2: bool, server_name: str) -> None:
        """HTTP in plaintext from an app; mutual TLS to the callee."""
        protocols = ("istio-h2", "istio", "h2") if http2 else ("istio-http/1.1", "istio", "http/1.1")
        self._cluster("out", target, self._upstream(callee, protocols, server_name), http2=http2)
        self._listener(port, [self._http_chain("out")])

    def outbound_tunnel(self, port: int, target: int, callee: str, destination: str) -> None:
        """Whatever comes goes through a tunnel of HBONE to ``destination``."""
        self._cluster("out", target, self._upstream(callee, ("h2",), ""), http2=True)
        self._listener(port, [_carried(tunneling_config={"hostname": destination})])

    def outbound_connections(self, port: int, target: int, callee: str) -> None:
        """Whatever comes is carried as it is, by mutual TLS to the callee."""
        self._cluster("out", target, self._upstream(callee, ("istio-peer-exchange", "istio"), ""))
        self._listener(port, [_carried()])

    def write(self, directory: Path, log_level: str = "info") -> list[str | Path]:
        """Write the configuration; the command that runs it."""
        configuration = directory / "envoy.json"
        resources = {"listeners": self._listeners, "clusters": self._clusters}
        configuration.write_text(json.dumps({"static_resources": resources}))
        options = ("--concurrency", "1", "--disable-hot-restart", "--log-level", log_level)
        return [envoy_program(), "--config-path", configuration, *options]

    @contextmanager
    def running(self, directory: Path) -> Iterator[ManagedProcess]:
        """The process, from when it listens."""
        process = ManagedProcess(self.write(directory), directory / "envoy.log")
        with process:
            ports = [item["address"]["socket_address"]["port_value"] for item in self._listeners]
            eventually(lambda: self._listens(process, ports), within=30, what="Envoy listens")
            yield process

    # --- parts ----------------------------------------------------------------------------------

    def _listens(self, process: ManagedProcess, ports: list[int]) -> bool:
        assert process.exit_code is None, process.output()
        try:
            for port in ports:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            return False
        return True

    def _listener(self, port: int, chains: list[Json], *, inspects: bool = False) -> None:
        inspector = {
            "name": "envoy.filters.listener.tls_inspector",
            "typed_config": {"@type": f"{ENVOY_TYPES}.filters.listener.tls_inspector.v3.TlsInspector"},
        }
        self._listeners.append(
            {
                "name": f"port-{port}",
                "address": _address(port),
                "listener_filters": [inspector] if inspects else [],
                "filter_chains": chains,
            }
        )

    def _http_chain(self, cluster: str) -> Json:
        hosts = [
            {"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": cluster}}]}
        ]
        more: Json = {
            "forward_client_cert_details": "APPEND_FORWARD" if cluster == "app" else "SANITIZE",
            "set_current_client_cert_details": {"subject": True, "dns": True, "uri": True},
            "upgrade_configs": [{"upgrade_type": "websocket"}],
        }
        return {"filters": [_manager(hosts, more)]}

    def _cluster(self, name: str, port: int, transport: Json | None = None, *, http2: bool = False) -> None:
        endpoint = {"endpoint": {"address": _address(port)}}
        cluster: Json = {
            "name": name,
            "type": "STATIC",
            "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
        }
        if transport is not None:
            cluster["transport_socket"] = transport
        if http2:
            options = f"{ENVOY_TYPES}.upstreams.http.v3.HttpProtocolOptions"
            cluster["typed_extension_protocol_options"] = {
                "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                    "@type": options,
                    "explicit_http_config": {"http2_protocol_options": {"allow_connect": True}},
                }
            }
        self._clusters.append(cluster)

    def _common(self, names: tuple[str, ...], protocols: tuple[str, ...]) -> Json:
        issued = self._issued
        matchers = [{"san_type": "URI", "matcher": {"exact": account(name).uri(TRUST_DOMAIN)}} for name in names]
        return {
            "alpn_protocols": list(protocols),
            "tls_certificates": [
                {
                    "certificate_chain": {"inline_string": issued.chain},
                    "private_key": {"inline_string": issued.private_key},
                }
            ],
            "validation_context": {
                "trusted_ca": {"inline_string": self._bundle},
                "match_typed_subject_alt_names": matchers,
            },
        }

    def _downstream(self, callers: tuple[str, ...], protocols: tuple[str, ...]) -> Json:
        return {
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                "@type": f"{ENVOY_TYPES}.transport_sockets.tls.v3.DownstreamTlsContext",
                "common_tls_context": self._common(callers, protocols),
                "require_client_certificate": True,
            },
        }

    def _upstream(self, callee: str, protocols: tuple[str, ...], server_name: str) -> Json:
        return {
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                "@type": f"{ENVOY_TYPES}.transport_sockets.tls.v3.UpstreamTlsContext",
                "common_tls_context": self._common((callee,), protocols),
                "sni": server_name,
            },
        }


def _manager(hosts: list[Json], more: Json) -> Json:
    return {
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": {
            "@type": f"{ENVOY_TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "http",
            "codec_type": "AUTO",
            "route_config": {"virtual_hosts": hosts},
            "http_filters": [
                {
                    "name": "envoy.filters.http.router",
                    "typed_config": {"@type": f"{ENVOY_TYPES}.filters.http.router.v3.Router"},
                }
            ],
            **more,
        },
    }


def _carried(**more: Json) -> Json:
    """Connections rather than requests."""
    proxy = {
        "name": "envoy.filters.network.tcp_proxy",
        "typed_config": {
            "@type": f"{ENVOY_TYPES}.filters.network.tcp_proxy.v3.TcpProxy",
            "stat_prefix": "out",
            "cluster": "out",
            **more,
        },
    }
    return {"filters": [proxy]}


def _address(port: int) -> Json:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
