"""`sekisho ca`: what people do with the mesh's authority, kept in a directory or in a cluster's Secret.

Owns the steps of each command. What is kept is changed in one piece, and only from what was read; what a phase of a
change of roots waits for is ``controller.ca.rotation``'s judgement.
"""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from controller.ca.authority import AuthorityError, utc_now
from controller.ca.directory import AuthorityDirectory
from controller.ca.join_tokens import JoinTokenError
from controller.ca.material import Material, Phase
from controller.ca.root import Root, split_pem
from controller.ca.rotation import AuthorityReport, next_phase, objections, too_early
from controller.ca.service_account import IdentityError, ServiceAccount
from controller.ca.token_file import TokenFile
from controller.errors import AuthorityUnusableError
from controller.kube.authority_secret import SECRET_NAME, material_of, save
from controller.kube.client import Api, ApiError, UnreachableError
from controller.kube.connection import from_kubeconfig, in_cluster
from controller.kube.join_token_secret import TokenSecret
from controller.terminal.writer import Writer
from gateway.admin.client import AdminClient
from gateway.errors import SettingsError

Result = TypeVar("Result")
Step = Callable[[Material], Material]

_NEXT: Final = {
    Phase.INTRODUCED: "the next root is trusted from now on, and the one before signs; go on with 'sekisho ca rotate' "
    "once all have taken it over",
    Phase.SWITCHED: "the new root signs from now on, and the one before is still trusted; go on with "
    "'sekisho ca rotate' once all certificates are renewed",
    Phase.STABLE: "the root before is trusted no more: the change is complete",
}


@dataclass(frozen=True)
class Place:
    """Where the authority is kept: a directory, or else a cluster's Secret."""

    directory: Path | None = None
    namespace: str = ""
    kubeconfig: Path | None = None
    admin: str = ""
    """Of the controller that leads."""
    trust_domain: str = ""

    def __post_init__(self) -> None:
        if self.directory is None and not self.namespace:
            raise SettingsError(
                "it is not said where the authority is kept",
                "give --ca-dir DIRECTORY, or --namespace of the controller",
            )


def show(place: Place, writer: Writer) -> None:
    """How things stand."""
    material, report = _looked_at(place)
    signing = material.signing
    writer.line(("root     ", "soft"), signing.anchors[0].subject.rfc4514_string())
    writer.line(("ends     ", "soft"), f"{signing.ends:%F %T}Z")
    writer.line(("phase    ", "soft"), material.phase.value)
    writer.line(("bundle   ", "soft"), material.digest)
    writer.line(("denied   ", "soft"), ", ".join(sorted(material.denied)) or "nobody")
    for text in _hindrances(place, material, report) if material.phase is not Phase.STABLE else ():
        writer.line(("waits    ", "warn"), text)


def create_token(place: Place, identity: str, life: datetime.timedelta, writer: Writer) -> None:
    """Prints a join token, which is shown this once."""
    try:
        account = ServiceAccount.of_uri(identity, place.trust_domain)
        if place.directory is not None:
            token = TokenFile(AuthorityDirectory(place.directory, utc_now), utc_now).create(account, life)
        else:
            token = _on_cluster(place, lambda api: TokenSecret(api, place.namespace).create(account, life))
    except (IdentityError, JoinTokenError, AuthorityError) as error:
        raise AuthorityUnusableError(str(error)) from error
    writer.line(token)


def deny(place: Place, identity: str, writer: Writer, *, denied: bool) -> None:
    """Has an identity get no certificate any more, or again."""
    try:
        uri = ServiceAccount.of_uri(identity, place.trust_domain).uri(place.trust_domain)
    except IdentityError as error:
        raise AuthorityUnusableError(str(error)) from error

    def step(material: Material) -> Material:
        return replace(material, denied=material.denied | {uri} if denied else material.denied - {uri})

    _change(place, step)
    writer.line(f"{uri} gets {'no certificate any more' if denied else 'certificates again'}")


def rotate(place: Place, root: Path | None, writer: Writer, *, force: bool) -> None:
    """One phase further in a change of roots."""
    report = None if place.directory is not None or force else _report(place)

    def step(material: Material) -> Material:
        waits = () if force else _hindrances(place, material, report)
        if waits:
            raise AuthorityUnusableError(
                f"the change of roots does not go on from the phase {material.phase.value!r}: {'; '.join(waits)}",
                "wait, or say --force where those may be cut off",
            )
        if root is not None and material.phase is not Phase.STABLE:
            raise AuthorityUnusableError("another root can be given only where a change begins", "leave --root out")
        return next_phase(material, _next_root(root))

    phase = _change(place, step).phase
    writer.line(f"{phase.value}: {_NEXT[phase]}")


# --- what is kept ---------------------------------------------------------------------------------


def _next_root(path: Path | None) -> Root:
    if path is None:
        return Root.create(utc_now())
    try:
        certificates, key = split_pem(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise AuthorityUnusableError(f"{path} cannot be read: {error}") from error
    return Root.parse(certificates, key, utc_now())


def _hindrances(place: Place, material: Material, report: AuthorityReport | None) -> tuple[str, ...]:
    if place.directory is not None:
        directory = AuthorityDirectory(place.directory, utc_now)
        return too_early(material, directory.phase_began(), utc_now(), directory.lifetime())
    return objections(material, report) if report is not None else ()


def _change(place: Place, step: Step) -> Material:
    try:
        if place.directory is None:
            return _on_cluster(place, lambda api: _change_secret(api, place, step))
        directory = AuthorityDirectory(place.directory, utc_now)
        with directory.locked():
            material = step(directory.read())
            directory.save(material)
            return material
    except AuthorityError as error:
        raise AuthorityUnusableError(str(error)) from error


def _looked_at(place: Place) -> tuple[Material, AuthorityReport | None]:
    try:
        if place.directory is not None:
            return AuthorityDirectory(place.directory, utc_now).read(), None
        return _on_cluster(place, lambda api: _read_secret(api, place)), _report(place)
    except AuthorityError as error:
        raise AuthorityUnusableError(str(error)) from error


def _report(place: Place) -> AuthorityReport:
    document = AdminClient(place.admin).authority_document()
    return msgspec.json.decode(document, type=AuthorityReport)


async def _read_secret(api: Api, place: Place) -> Material:
    return material_of(await api.get(_path(place)))


async def _change_secret(api: Api, place: Place, step: Step) -> Material:
    secret = await api.get(_path(place))
    material = step(material_of(secret))
    await save(api, secret, material)
    return material


def _path(place: Place) -> str:
    return f"/api/v1/namespaces/{place.namespace}/secrets/{SECRET_NAME}"


def _on_cluster(place: Place, work: Callable[[Api], Coroutine[Any, Any, Result]]) -> Result:
    async def run() -> Result:
        api = Api(from_kubeconfig(place.kubeconfig) if place.kubeconfig is not None else in_cluster(), "sekisho-ca")
        try:
            return await work(api)
        finally:
            await api.close()

    try:
        return asyncio.run(run())
    except (ApiError, UnreachableError) as error:
        raise AuthorityUnusableError(f"Secret {place.namespace}/{SECRET_NAME}: {error}") from error
