"""The forward proxies under test, each with one worker.

The gateway decides by policy, vets addresses and writes a record of every tunnel. Squid allows one port of one name,
and Envoy takes whatever name comes (`dynamic_forward_proxy`); both without a log. HAProxy is not among them: it passes
CONNECT on to a server and ends none.
"""

from __future__ import annotations

import json
import socket
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.machine import PinnedProcess
from tests.bench.peers.envoy import ENVOY_TYPES, envoy_program
from tests.support.manifests import Manifest, gateway, gateway_class, manifest
from tests.support.manifests import write as write_manifests
from tests.support.ports import free_port
from tests.support.sekisho import sekisho_command
from tests.support.waiting import eventually

NAME = "localhost"
"""The destination: every peer looks it up by the system, and finds the loopback."""
START_SECONDS = 90.0
RULES, NAMES = 10, 5


@dataclass(frozen=True)
class Site:
    """What a proxy is told: where to listen, the one port that may be reached, and a folder."""

    port: int
    target: int
    directory: Path


class Peer(ABC):
    """A forward proxy."""

    name = ""

    @abstractmethod
    def configure(self, site: Site) -> Sequence[str | Path]:
        """Write the configuration; the command that runs it."""

    def start(self, site: Site, core: int) -> PinnedProcess:
        process = PinnedProcess(self.configure(site), site.directory / f"{self.name}.log", core)
        process.start()
        try:
            eventually(lambda: _listens(process, site.port), within=START_SECONDS, every=0.05)
        except BaseException as error:
            process.stop()
            raise RuntimeError(f"{self.name} did not start:\n{process.output()[-2000:]}") from error
        return process


def _listens(process: PinnedProcess, port: int) -> bool:
    if process.exit_code is not None:
        raise RuntimeError("it ended")
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


class Sekisho(Peer):
    """``policies`` further ones of ten rules by five names stand beside the one that allows the destination."""

    def __init__(self, name: str, policies: int = 0) -> None:
        self.name = name
        self._policies = policies

    def configure(self, site: Site) -> Sequence[str | Path]:
        listener = {"name": "proxy", "port": site.port, "protocol": "sekisho.dev/EgressProxy"}
        allowed = {
            "name": "bench",
            "to": [{"names": [NAME], "ports": [site.target], "protocols": ["TCP"]}],
            "addressBlocks": ["127.0.0.0/8"],
        }
        manifests = [gateway_class(), gateway(listener), policy("bench", [allowed])]
        manifests += [policy(f"team-{number}", team_rules(number)) for number in range(self._policies)]
        folder = site.directory / "manifests"
        folder.mkdir()
        write_manifests(folder / "bench.yaml", "\n---\n".join(json.dumps(it) for it in manifests))
        options: list[str | Path] = ["--admin", f"127.0.0.1:{free_port()}", "--workers", "1"]
        options += ["--access-log", site.directory / "access.log", "--state-dir", site.directory / "state"]
        return sekisho_command("up", "-f", folder, *options)


def policy(name: str, rules: Sequence[Manifest]) -> Manifest:
    spec = {"targetRefs": [{"name": "edge"}], "rules": list(rules)}
    return manifest("sekisho.dev/v1alpha1", "EgressPolicy", name, spec=spec)


def team_rules(team: int) -> list[Manifest]:
    """Ten rules of a service account, with five names each."""
    return [
        {
            "name": f"rule-{rule}",
            "from": [{"serviceAccounts": [f"team-{team}/app"]}],
            "to": [{"names": [f"api-{number}.team-{team}-{rule}.example" for number in range(NAMES)]}],
        }
        for rule in range(RULES)
    ]


class Squid(Peer):
    name = "squid"

    def configure(self, site: Site) -> Sequence[str | Path]:
        configuration = site.directory / "squid.conf"
        configuration.write_text(
            f"""
http_port 127.0.0.1:{site.port}
acl target_port port {site.target}
acl target_name dstdomain {NAME}
acl tunnel method CONNECT
http_access allow tunnel target_port target_name
http_access deny all
access_log none
cache_log {site.directory}/squid-cache.log
cache deny all
cache_mem 8 MB
pid_filename none
coredump_dir {site.directory}
netdb_filename none
pinger_enable off
max_filedescriptors 8192
shutdown_lifetime 0 seconds
"""
        )
        site.directory.chmod(0o777)  # it gives up root's rights
        return ["squid", "-N", "-f", configuration]


class Envoy(Peer):
    name = "envoy"

    def configure(self, site: Site) -> Sequence[str | Path]:
        configuration = site.directory / "envoy.json"
        configuration.write_text(json.dumps({"static_resources": _envoy_resources(site.port)}))
        options = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "error"]
        return [envoy_program(), "--config-path", configuration, *options]


def _envoy_resources(port: int) -> dict[str, Any]:
    cache = {"name": "names", "dns_lookup_family": "V4_ONLY"}
    forward = f"{ENVOY_TYPES}.filters.http.dynamic_forward_proxy.v3.FilterConfig"
    route = {
        "match": {"connect_matcher": {}},
        "route": {"cluster": "outside", "upgrade_configs": [{"upgrade_type": "CONNECT", "connect_config": {}}]},
    }
    manager = {
        "@type": f"{ENVOY_TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "out",
        "delayed_close_timeout": "0s",
        "route_config": {"virtual_hosts": [{"name": "out", "domains": ["*"], "routes": [route]}]},
        "upgrade_configs": [{"upgrade_type": "CONNECT"}],
        "http_filters": [
            {
                "name": "envoy.filters.http.dynamic_forward_proxy",
                "typed_config": {"@type": forward, "dns_cache_config": cache},
            },
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{ENVOY_TYPES}.filters.http.router.v3.Router"},
            },
        ],
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    cluster_type = f"{ENVOY_TYPES}.clusters.dynamic_forward_proxy.v3.ClusterConfig"
    return {
        "listeners": [
            {
                "name": "out",
                "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
                "filter_chains": [chain],
            }
        ],
        "clusters": [
            {
                "name": "outside",
                "lb_policy": "CLUSTER_PROVIDED",
                "cluster_type": {
                    "name": "envoy.clusters.dynamic_forward_proxy",
                    "typed_config": {"@type": cluster_type, "dns_cache_config": cache},
                },
            }
        ],
    }


SEKISHO, MANY = Sekisho("sekisho"), Sekisho("sekisho-1000", policies=1_000)
PEERS: tuple[Peer, ...] = (SEKISHO, MANY, Squid(), Envoy())
