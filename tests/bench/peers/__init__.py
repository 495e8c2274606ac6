"""The proxies under test: how each is told the same routes, started with one worker, and found.

The gateway runs with everything on: access log to a file, metrics, admin endpoint, tracing headers.
nginx, HAProxy and Envoy run without access log and with nothing that the workload does not need.
"""

from __future__ import annotations

from tests.bench.peers.envoy import Envoy
from tests.bench.peers.haproxy import HAProxy
from tests.bench.peers.nginx import Nginx
from tests.bench.peers.sekisho import Sekisho
from tests.bench.peers.site import Peer, Site

__all__ = ["PEERS", "Peer", "Site"]

PEERS: tuple[Peer, ...] = (Sekisho(), Nginx(), HAProxy(), Envoy())
