"""The kinds that are read: ``(apiVersion, kind)`` to type."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from controller.resources.authorization_policy import AuthorizationPolicy
from controller.resources.backend_tls_policy import BackendTLSPolicy
from controller.resources.config_map import ConfigMap
from controller.resources.credential_injection import CredentialInjection
from controller.resources.denied_identities import DeniedIdentities
from controller.resources.egress_policy import EgressPolicy
from controller.resources.endpoint_slice import EndpointSlice
from controller.resources.external_authorization_provider import ExternalAuthorizationProvider
from controller.resources.gateway import Gateway
from controller.resources.gateway_class import GatewayClass
from controller.resources.gateway_parameters import GatewayParameters
from controller.resources.grpc_route import GRPCRoute
from controller.resources.http_route import HTTPRoute
from controller.resources.ingress import Ingress
from controller.resources.ingress_class import IngressClass
from controller.resources.key_set import KeySet
from controller.resources.listener_set import ListenerSet
from controller.resources.metadata import Resource
from controller.resources.namespace import Namespace
from controller.resources.peer_authentication import PeerAuthentication
from controller.resources.pod import Pod
from controller.resources.reference_grant import ReferenceGrant
from controller.resources.request_authentication import RequestAuthentication
from controller.resources.secret import Secret
from controller.resources.service import Service
from controller.resources.stream_route import TCPRoute, TLSRoute, UDPRoute
from controller.resources.workload_entry import WorkloadEntry
from controller.resources.xbackend import XBackend

KINDS: tuple[type[Resource], ...] = (
    GatewayClass,
    Gateway,
    ListenerSet,
    HTTPRoute,
    GRPCRoute,
    TLSRoute,
    TCPRoute,
    UDPRoute,
    ReferenceGrant,
    BackendTLSPolicy,
    XBackend,
    Service,
    EndpointSlice,
    Secret,
    ConfigMap,
    Namespace,
    GatewayParameters,
    IngressClass,
    Ingress,
    AuthorizationPolicy,
    ExternalAuthorizationProvider,
    RequestAuthentication,
    EgressPolicy,
    CredentialInjection,
)
"""Of a gateway by itself."""

MESH_KINDS: tuple[type[Resource], ...] = (Pod, WorkloadEntry, PeerAuthentication)
"""Of a mesh besides: they are watched only where there is one."""


def api_versions(type_: type[Resource]) -> tuple[str, ...]:
    """Values of ``apiVersion`` that a kind is read from, the preferred one first."""
    return tuple(f"{type_.group}/{version}" if type_.group else version for version in type_.versions)


REGISTRY: Mapping[tuple[str, str], type[Resource]] = MappingProxyType(
    {(api_version, type_.kind): type_ for type_ in (*KINDS, *MESH_KINDS) for api_version in api_versions(type_)}
)

BY_KIND: Mapping[str, type[Resource]] = MappingProxyType({type_.kind: type_ for type_ in (*KINDS, *MESH_KINDS)})

STORED: Mapping[str, type[Resource]] = MappingProxyType(
    {**BY_KIND, KeySet.kind: KeySet, DeniedIdentities.kind: DeniedIdentities}
)
"""The same, and what nobody writes."""
