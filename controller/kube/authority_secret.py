"""The Secret that keeps the mesh's authority: loaded, or made by whichever replica comes first.

Only creation is used, so two replicas that start at once agree: one makes it, the other is told that it
exists and reads it. It is never changed from here.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any, Final

from controller.ca.authority import Authority, AuthorityError, AuthoritySettings
from controller.kube.client import Api, ApiError

SECRET_NAME: Final = "sekisho-ca"  # noqa: S105 - a name
CERTIFICATE: Final = "ca.crt"
PRIVATE_KEY: Final = "ca.key"
_TYPE: Final = "sekisho.dev/authority"


async def load_or_create(
    api: Api, namespace: str, settings: AuthoritySettings | None = None, name: str = SECRET_NAME
) -> Authority:
    """The authority of this installation; raises :class:`AuthorityError` where the Secret is not usable."""
    collection = f"/api/v1/namespaces/{namespace}/secrets"
    try:
        return _authority(await api.get(f"{collection}/{name}"), namespace, settings)
    except ApiError as error:
        if error.status != 404:
            raise
    authority = Authority.create(settings)
    try:
        await api.create(collection, _secret(authority, namespace, name))
    except ApiError as error:
        if error.status != 409:
            raise
        return _authority(await api.get(f"{collection}/{name}"), namespace, settings)
    return authority


def _secret(authority: Authority, namespace: str, name: str) -> dict[str, Any]:
    content = {CERTIFICATE: authority.bundle_pem, PRIVATE_KEY: authority.private_key_pem}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {"app.kubernetes.io/name": "sekisho", "app.kubernetes.io/managed-by": "sekisho-controller"},
        },
        "type": _TYPE,
        "data": {key: base64.b64encode(text.encode()).decode() for key, text in content.items()},
    }


def _authority(secret: dict[str, Any], namespace: str, settings: AuthoritySettings | None) -> Authority:
    where = f"Secret {namespace}/{secret['metadata']['name']}"
    data = secret.get("data") or {}
    try:
        certificate, key = (base64.b64decode(data[name], validate=True).decode() for name in (CERTIFICATE, PRIVATE_KEY))
    except KeyError as error:
        raise AuthorityError(f"{where} has no {error.args[0]}; delete it to have a new authority made") from error
    except (binascii.Error, UnicodeDecodeError):
        raise AuthorityError(f"{where} does not hold PEM; delete it to have a new authority made") from None
    try:
        return Authority(certificate, key, settings)
    except AuthorityError as error:
        raise AuthorityError(f"{where}: {error}; delete it to have a new authority made") from error
