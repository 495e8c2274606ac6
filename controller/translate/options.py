"""What translation depends on besides the objects."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

CONTROLLER_NAME = "sekisho.dev/gateway-controller"
INGRESS_CONTROLLER_NAME = "sekisho.dev/ingress-controller"
CLASS_NAME = "sekisho"
STANDALONE_TABLE = "standalone"
"""Name of the one table when all Gateways are merged."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of a translation.

    ``regex_problem`` is passed in so that translation needs no engine: it answers what is wrong
    with a regular expression, or None.
    """

    regex_problem: Callable[[str], str | None]
    controller_name: str = CONTROLLER_NAME
    ingress_controller_name: str = INGRESS_CONTROLLER_NAME
    namespace: str = "sekisho-system"
    """The controller's own: the Gateway of IngressClasses that name none is there."""
    address: str = "127.0.0.1"
    """Bound where a Gateway asks for no address."""
    port_offset: int = 0
    """Added to a listener's port to get the port that is bound."""
    merge: bool = True
    """All Gateways in one table, where an older Gateway keeps a port that a younger one wants too;
    otherwise one table each, named ``namespace/name``."""
    provision: bool = False
    """Each Gateway gets a Deployment and a Service of its own, and its addresses are that Service's: listeners
    are bound on ``address`` (a wildcard), whatever addresses the Gateway asks for."""
    implicit_class: bool = True
    """The class ``sekisho`` is ours although no such GatewayClass, or IngressClass, exists."""
    implicit_namespaces: bool = True
    """A namespace that is only referred to exists."""
    external_names: bool = True
    """Services of type ExternalName are followed. In a cluster they can point anywhere (CVE-2021-25740)."""
    cluster_domain: str = "cluster.local"
    mesh: bool = True
    """Services can be parents of routes, which sidecars apply. Otherwise such parents are somebody else's."""
    trust_domain: str = "cluster.local"
    """Of the identities of workloads."""
    root_namespace: str = "istio-system"
    """Policies about security in this namespace apply to all of them."""
