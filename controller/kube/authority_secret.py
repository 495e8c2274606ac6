"""The Secret that keeps the mesh's authority: loaded, or made by whichever replica comes first, and read again.

Only creation is used, so two replicas that start at once agree: one makes it, the other is told that it exists and
reads it. The controller never changes it: people and `sekisho ca` do, and :func:`follow` takes over what they did.
"""

from __future__ import annotations

import base64
import binascii
import logging
from typing import Any, Final

from controller.ca.authority import Authority, AuthorityError, AuthoritySettings, utc_now
from controller.ca.material import Material
from controller.kube.client import Api, ApiError, UnreachableError
from controller.kube.clock import Clock

SECRET_NAME: Final = "sekisho-ca"  # noqa: S105 - a name
_TYPE: Final = "sekisho.dev/authority"
_LOOK_SECONDS: Final = 2.0
_REMEDY: Final = "delete it to have a new authority made"

logger = logging.getLogger(__name__)


async def load_or_create(
    api: Api, namespace: str, settings: AuthoritySettings | None = None, name: str = SECRET_NAME
) -> Authority:
    """The authority of this installation; raises :class:`AuthorityError` where the Secret is not usable."""
    collection = f"/api/v1/namespaces/{namespace}/secrets"
    try:
        return Authority.of(material_of(await api.get(f"{collection}/{name}")), settings)
    except ApiError as error:
        if error.status != 404:
            raise
    authority = Authority.create(settings)
    try:
        await api.create(collection, _secret(authority, namespace, name))
    except ApiError as error:
        if error.status != 409:
            raise
        return Authority.of(material_of(await api.get(f"{collection}/{name}")), settings)
    return authority


async def follow(api: Api, namespace: str, authority: Authority, clock: Clock, name: str = SECRET_NAME) -> None:
    """For ever: what changes in the Secret is taken over by ``authority``; what cannot be used is said, once."""
    path = f"/api/v1/namespaces/{namespace}/secrets/{name}"
    seen, said = "", ""
    while True:
        await clock.sleep(_LOOK_SECONDS)
        try:
            secret = await api.get(path)
            version = str(secret["metadata"].get("resourceVersion", ""))
            if version != seen:
                seen = version
                authority.take(material_of(secret))
            said = ""
        except (AuthorityError, ApiError, UnreachableError) as error:
            if str(error) != said:
                said = str(error)
                logger.error("the authority goes on as it was before: %s", error)  # noqa: TRY400 - the text says all


async def save(api: Api, secret: dict[str, Any], material: Material) -> None:
    """Keeps a change, unless somebody else changed the Secret since ``secret`` was read."""
    metadata = secret["metadata"]
    path = f"/api/v1/namespaces/{metadata['namespace']}/secrets/{metadata['name']}"
    await api.replace(path, {**secret, "data": _encoded(material)})


def material_of(secret: dict[str, Any]) -> Material:
    """What a Secret holds; raises :class:`AuthorityError`."""
    metadata = secret["metadata"]
    where = f"Secret {metadata['namespace']}/{metadata['name']}"
    try:
        texts = {
            name: base64.b64decode(value, validate=True).decode() for name, value in (secret.get("data") or {}).items()
        }
        return Material.parse(texts, utc_now())
    except KeyError as error:
        raise AuthorityError(f"{where} has no {error.args[0]}; {_REMEDY}") from error
    except (binascii.Error, UnicodeDecodeError):
        raise AuthorityError(f"{where} does not hold PEM; {_REMEDY}") from None
    except AuthorityError as error:
        raise AuthorityError(f"{where}: {error}; {_REMEDY}") from error


def _secret(authority: Authority, namespace: str, name: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {"app.kubernetes.io/name": "sekisho", "app.kubernetes.io/managed-by": "sekisho-controller"},
        },
        "type": _TYPE,
        "data": _encoded(authority.material),
    }


def _encoded(material: Material) -> dict[str, str]:
    return {name: base64.b64encode(text.encode()).decode() for name, text in material.texts().items()}
