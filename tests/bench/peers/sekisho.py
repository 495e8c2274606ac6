"""The gateway itself: `sekisho up` from manifests, with everything on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from tests.bench.identities import BACKEND_HOST, BACKEND_IDENTITY
from tests.bench.peers.site import Peer, Site
from tests.support.manifests import (
    Manifest,
    authority_config_map,
    backend,
    backend_tls_policy,
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

RULES_OF_A_ROUTE = 16


class Sekisho(Peer):
    name = "sekisho"

    def configure(self, site: Site) -> Sequence[str | Path]:
        listener = https_listener(site.port, "bench") if site.tls else http_listener(site.port)
        edge = gateway(listener)
        http1 = site.workload.upstream == "http1"
        manifests: list[Manifest] = [gateway_class(), edge]
        manifests += backend("origin", site.backend_port, app_protocol=None if http1 else "kubernetes.io/h2c")
        if site.tls:
            manifests.append(tls_secret("bench", site.identities.server.issued))
        if site.mutual_tls:
            edge["spec"]["tls"] = {"backend": {"clientCertificateRef": {"name": "identity"}}}
            manifests += _mutual_tls(site)
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


def _mutual_tls(site: Site) -> list[Manifest]:
    """Whom the backend must be, and who the gateway is."""
    identity = {"type": "URI", "uri": BACKEND_IDENTITY}
    return [
        tls_secret("identity", site.identities.edge.issued),
        authority_config_map("authority", site.identities.authority.pem),
        backend_tls_policy("origin", "origin", BACKEND_HOST, "authority", alternative_names=[identity]),
    ]
