"""Authorization: who may do what, and who is asked."""

from __future__ import annotations

from typing import Literal

from gateway.routing_table.model.schema import Header, Struct


class AuthorizationSource(Struct):
    """Who calls: every field that is given must hold, by one of its values; ``not_`` fields by none of theirs.

    Texts match exactly, by prefix (``abc*``), by suffix (``*abc``), or where there is any value (``*``).
    """

    principals: tuple[str, ...] = ()
    """``trust-domain/ns/namespace/sa/service-account``, from a verified client certificate."""
    not_principals: tuple[str, ...] = ()
    request_principals: tuple[str, ...] = ()
    """``issuer/subject`` of a verified token."""
    not_request_principals: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()
    not_namespaces: tuple[str, ...] = ()
    service_accounts: tuple[str, ...] = ()
    """``namespace/name``, as it is: without wildcards."""
    not_service_accounts: tuple[str, ...] = ()
    ip_blocks: tuple[str, ...] = ()
    """Addresses or CIDR blocks; of the peer that the connection comes from."""
    not_ip_blocks: tuple[str, ...] = ()
    remote_ip_blocks: tuple[str, ...] = ()
    """Of the client, as far as the hops before the gateway are trusted."""
    not_remote_ip_blocks: tuple[str, ...] = ()


class AuthorizationOperation(Struct):
    """What is asked for, in the same way. All but ``ports`` are of requests alone.

    A host pattern without port matches whatever the port. Paths are compared after they were normalised, without
    query; they may be templates of ``{*}`` (one segment) and, last, ``{**}`` (any rest).
    """

    hosts: tuple[str, ...] = ()
    not_hosts: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    """The ports that clients dial."""
    not_ports: tuple[int, ...] = ()
    methods: tuple[str, ...] = ()
    not_methods: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    not_paths: tuple[str, ...] = ()


class AuthorizationCondition(Struct):
    """One attribute; ``key`` is spelt as in Istio, for example ``request.headers[x-user]``."""

    key: str
    values: tuple[str, ...] = ()
    not_values: tuple[str, ...] = ()


class AuthorizationRule(Struct):
    """Matches by one source, one operation and every condition; an empty list asks for nothing."""

    sources: tuple[AuthorizationSource, ...] = ()
    operations: tuple[AuthorizationOperation, ...] = ()
    conditions: tuple[AuthorizationCondition, ...] = ()


AuthorizationAction = Literal["ALLOW", "DENY", "AUDIT", "CUSTOM"]


class ExternalAuthorization(Struct):
    """A service that is asked over HTTP about a request, before the request goes on.

    It gets the request's method, host, path with query, and ``authorization``, other headers as listed, and no content.
    2xx lets the request go on. 5xx and no answer in time are failures. Everything else denies: the client gets that
    status and content.

    Names of headers are in lower case and match exactly, by prefix (``x-auth-*``), by suffix (``*-id``), or all
    (``*``).
    """

    backend: str
    """Key of a backend. For a policy it may be missing in the table: then it cannot be asked."""
    path_prefix: str = ""
    """Goes before the request's path; empty, or starts with ``/`` and does not end with one."""
    timeout_ms: int = 5_000
    """For the connection and the whole answer; never 0."""
    request_headers: tuple[str, ...] = ()
    """Of the request, to show to the service."""
    additional_headers: tuple[Header, ...] = ()
    """Set in what the service gets, over headers of the request."""
    upstream_headers: tuple[str, ...] = ()
    """Of an answer that allows, to set in the request. What the client sent under such a name is taken out, whether
    the answer has it or not; ``*`` alone, ``authorization`` and ``cookie`` only replace."""
    downstream_headers_on_allow: tuple[str, ...] = ()
    """Of an answer that allows, to set in the response."""
    downstream_headers_on_deny: tuple[str, ...] = ()
    """Of an answer that denies, to give to the client."""
    status_on_error: int = 403
    """What a client is answered with when the service fails."""
    fail_open: bool = False
    """Requests go on when the service fails."""


class AuthorizationPolicy(Struct):
    """Who may do what. ``key``: ``namespace/name``. Istio's semantics: the providers of all CUSTOM policies that match
    are asked, then any DENY policy that matches denies, then one ALLOW policy must match if there are any; AUDIT is
    only told. A CUSTOM policy that matches denies what has no requests, and everything where it has no provider.

    On connections that carry no requests, a rule of an ALLOW policy with a field of requests never matches, and in the
    others such a field counts as met.
    """

    key: str
    action: AuthorizationAction = "ALLOW"
    rules: tuple[AuthorizationRule, ...] = ()
    """No rule matches nothing; a rule without anything matches everything."""
    dry_run: bool = False
    """Decided, logged and counted, and never enforced."""
    refusal: str = ""
    """Why it cannot be enforced as it was written. It fails closed: ALLOW permits nothing, DENY and CUSTOM deny
    everything; the rules are not looked at."""
    provider: ExternalAuthorization | None = None
    """Only for CUSTOM."""
