"""Discovery as this process serves it: with the cluster's authority, its token reviews, and its Gateways' names.

Owns getting the authority, however long the API server takes to give it, and which names the server has.
"""

from __future__ import annotations

import asyncio
import datetime
import logging
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from controller.ca.authority import Authority, AuthorityError, AuthoritySettings, utc_now
from controller.ca.rotation import AuthorityReport
from controller.ca.service_account import ServiceAccount
from controller.config import CONTROLLER_SERVICE, ClusterSettings, ProcessIdentity
from controller.errors import DiscoveryAddressError
from controller.kube.authority_secret import SECRET_NAME, load_or_create
from controller.kube.client import Api, ApiError, UnreachableError
from controller.kube.clock import Backoff, Clock
from controller.kube.join_token_secret import TokenSecret
from controller.kube.token_review import TokenReview
from controller.publish.discovery import DiscoveryParts
from controller.publish.places import TableOf
from controller.publish.relay import Relay, RelaySettings
from controller.publish.server import AuthorityServer, DiscoveryServer
from controller.publish.subscriptions import Subscriptions
from gateway.admin.status import Problem
from gateway.routing_table.discovery import AUDIENCE

_FIRST_WAIT: Final = 0.5
_LONGEST_WAIT: Final = 15.0
_ROOT_EARLY: Final = datetime.timedelta(days=60)
"""A change of roots takes people, and some patience."""

logger = logging.getLogger(__name__)


async def authority_of(api: Api, settings: ClusterSettings, clock: Clock, chance: Callable[[], float]) -> Authority:
    """The cluster's authority. Waits for it, and says what it waits for."""
    backoff = Backoff(_FIRST_WAIT, _LONGEST_WAIT, chance)
    limits = AuthoritySettings(trust_domain=settings.trust_domain, lifetime=settings.certificate_lifetime)
    where = f"Secret {settings.namespace}/{SECRET_NAME}"
    while True:
        try:
            return await load_or_create(api, settings.namespace, limits)
        except AuthorityError as error:
            logger.error("gateways cannot be served: %s", error)  # noqa: TRY400 - the text says all
        except ApiError as error:
            logger.warning("gateways cannot be served yet: the %s: %s%s", where, error, _remedy(error))
        except UnreachableError as error:
            logger.info("the %s: %s", where, error)
        await clock.sleep(backoff.next())


def _remedy(error: ApiError) -> str:
    match error.status:
        case 403:
            return "; let the controller's service account get and create Secrets in its namespace"
        case 404:
            return "; create the namespace, or give another with --namespace"
        case _:
            return ""


def discovery_server(
    settings: ClusterSettings,
    identity: ProcessIdentity,
    authority: Authority,
    subscriptions: Subscriptions,
    api: Api,
    table_of: TableOf,
) -> DiscoveryServer:
    """Bound, and not serving yet."""
    parts = DiscoveryParts(
        subscriptions=subscriptions,
        authority=authority,
        tokens=TokenReview(api, AUDIENCE),
        table_of=table_of,
        account=ServiceAccount(settings.namespace, CONTROLLER_SERVICE),
        replica=identity.name,
        join=TokenSecret(api, settings.namespace).redeem,
    )
    address = settings.discovery
    try:
        return DiscoveryServer(address.host, address.port, parts, server_names(settings))
    except OSError as error:
        raise DiscoveryAddressError(
            f"the discovery address {address} cannot be bound: {error.strerror or error}",
            "choose another with --discovery HOST:PORT",
        ) from error


def relay_to_leader(
    settings: ClusterSettings,
    identity: ProcessIdentity,
    authority: Authority,
    subscriptions: Subscriptions,
    leader: Callable[[], str | None],
) -> Relay:
    """Has the leader know what this replica's gateways hold. ``leader``: its URL, None while that is this one."""
    relay = RelaySettings(
        account=ServiceAccount(settings.namespace, CONTROLLER_SERVICE),
        replica=identity.name,
        server_name=f"{CONTROLLER_SERVICE}.{settings.namespace}.svc",
    )
    return Relay(relay, authority, subscriptions, leader)


def authority_report(authority: Authority, subscriptions: Subscriptions, *, leads: bool) -> AuthorityReport:
    """How things stand with the authority, and with those who trust it."""
    material = authority.material
    return AuthorityReport(
        phase=material.phase.value,
        bundle=material.digest,
        root_key=authority.root_key,
        root_ends=material.signing.ends,
        certificate_seconds=authority.settings.lifetime.total_seconds(),
        leads=leads,
        denied=len(material.denied),
        replicas=subscriptions.replica_trust(),
        gateways=subscriptions.gateway_trust(),
    )


def authority_problems(authority: Authority) -> tuple[Problem, ...]:
    """What a person must do about it, long before anything ends."""
    ends = authority.material.signing.ends
    left = ends - utc_now()
    if left > _ROOT_EARLY:
        return ()
    return (
        Problem(
            message=f"the root of the mesh ends on {ends:%F}: in {max(left.days, 0)} days nothing can be certified",
            object=f"Secret/{SECRET_NAME}",
            remedy="change it with 'sekisho ca rotate', which takes three phases",
            severity="warning" if left.days > 0 else "error",
        ),
    )


async def serve(server: AuthorityServer) -> None:
    """Until it is cancelled: then connections end, and who asks finds another replica."""
    stop = asyncio.Event()
    serving = asyncio.ensure_future(server.run(stop))
    try:
        await asyncio.shield(serving)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.gather(serving, return_exceptions=True)
        raise


def server_names(settings: ClusterSettings) -> tuple[str, ...]:
    """What those may call this server who ask it."""
    service = f"{CONTROLLER_SERVICE}.{settings.namespace}"
    given = urlsplit(settings.controller_url).hostname or ""
    return tuple(dict.fromkeys((given, f"{service}.svc", f"{service}.svc.{settings.cluster_domain}", service)))
