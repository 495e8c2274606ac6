"""Keeps the trust bundle true where others read it: in the namespaces of sidecars, and in the webhook's configuration.

A sidecar starts with the bundle of a ConfigMap in its own namespace, and an API server knows the webhook by the
``caBundle`` of its configuration. The leader writes both, and only where they differ from what is in force. It removes
none: a ConfigMap that nobody mounts costs nothing, and a pod that does would not start.
"""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Callable, Iterable
from typing import Any, Final

from controller.inject.choice import wanted
from controller.inject.pod import TLS_MODE
from controller.inject.settings import TRUST_BUNDLE
from controller.kube.client import Api, ApiError, UnreachableError
from controller.kube.clock import Clock
from controller.kube.kinds import FIELD_MANAGER
from controller.resources import ConfigMap, Namespace, Pod
from controller.store import Key, Snapshot
from controller.translate.infrastructure_names import MANAGED_BY, MANAGED_BY_LABEL

_KEY: Final = "ca.crt"
_KINDS: Final = frozenset({Namespace.kind, Pod.kind, ConfigMap.kind})
_WEBHOOKS: Final = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
_LOOK_SECONDS: Final = 10.0
"""The webhook's configuration is not watched: whoever changes it finds it repaired after so long."""
_GATHER_SECONDS: Final = 0.1

logger = logging.getLogger(__name__)


class MeshBundles:
    """Writes while this process leads."""

    def __init__(
        self,
        api: Api,
        snapshot: Callable[[], Snapshot],
        clock: Clock,
        *,
        webhook: str = "",
        namespaces: Iterable[str] = (),
    ) -> None:
        """``webhook``: the name of the configuration, empty for none. ``namespaces``: where the controller may write;
        empty: everywhere.
        """
        self._api = api
        self._snapshot = snapshot
        self._clock = clock
        self._webhook = webhook
        self._bundle = ""
        self._namespaces = frozenset(namespaces)
        self._leads = asyncio.Event()
        self._due = asyncio.Event()
        self._said: dict[str, str] = {}

    def lead(self, leads: bool) -> None:
        """Whether this replica writes."""
        if leads:
            self._leads.set()
            self._due.set()
        else:
            self._leads.clear()

    def use(self, bundle_pem: str) -> None:
        """The bundle in force."""
        self._bundle = bundle_pem
        self._due.set()

    def touched(self, keys: Iterable[Key]) -> None:
        """Objects that have changed."""
        if any(key.kind in _KINDS for key in keys):
            self._due.set()

    async def run(self) -> None:
        """Without end."""
        while True:
            await self._leads.wait()
            self._due.clear()
            await self.bring()
            try:
                async with asyncio.timeout(_LOOK_SECONDS):
                    await self._due.wait()
            except TimeoutError:
                continue
            # Pods of one Deployment come together.
            await self._clock.sleep(_GATHER_SECONDS)

    async def bring(self) -> None:
        """Writes what differs."""
        if not self._bundle:
            return
        snapshot = self._snapshot()
        for namespace in sorted(self.namespaces(snapshot)):
            standing = snapshot.get(ConfigMap, namespace, TRUST_BUNDLE)
            if standing is None or standing.data.get(_KEY) != self._bundle:
                await self._try(f"ConfigMap {namespace}/{TRUST_BUNDLE}", self._apply(namespace))
        if self._webhook:
            await self._try(f"MutatingWebhookConfiguration {self._webhook}", self._mend_webhook())

    def namespaces(self, snapshot: Snapshot) -> frozenset[str]:
        """Those whose pods get sidecars by themselves, and those with pods that have one."""
        labelled = {one.metadata.name for one in snapshot.all(Namespace) if wanted(one.metadata.labels)}
        inhabited = {
            pod.metadata.namespace for pod in snapshot.all(Pod) if pod.metadata.labels.get(TLS_MODE) == "istio"
        }
        found = frozenset(labelled | inhabited)
        return found & self._namespaces if self._namespaces else found

    async def _try(self, what: str, work: Any) -> None:
        try:
            await work
            self._said.pop(what, None)
        except (ApiError, UnreachableError) as error:
            if self._said.get(what) != str(error):
                self._said[what] = str(error)
                logger.warning("%s cannot be written, and is tried again: %s", what, error)

    async def _apply(self, namespace: str) -> None:
        manifest = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": TRUST_BUNDLE,
                "namespace": namespace,
                "labels": {MANAGED_BY_LABEL: MANAGED_BY},
            },
            "data": {_KEY: self._bundle},
        }
        path = f"/api/v1/namespaces/{namespace}/configmaps/{TRUST_BUNDLE}"
        await self._api.apply(path, manifest, {"fieldManager": FIELD_MANAGER, "force": "true"})

    async def _mend_webhook(self) -> None:
        path = f"{_WEBHOOKS}/{self._webhook}"
        standing = await self._api.get(path)
        encoded = base64.b64encode(self._bundle.encode()).decode()
        webhooks = standing.get("webhooks") or []
        if all((one.get("clientConfig") or {}).get("caBundle") == encoded for one in webhooks):
            return
        mended = [{**one, "clientConfig": {**(one.get("clientConfig") or {}), "caBundle": encoded}} for one in webhooks]
        version = standing["metadata"].get("resourceVersion", "")
        await self._api.merge(path, {"metadata": {"resourceVersion": version}, "webhooks": mended})
        logger.info("the API server knows the webhook %s by the present trust bundle", self._webhook)
