"""TLS towards a backend: the part that BackendTLSPolicy and XBackend share.

Owns ``BackendTLSPolicyValidation`` (Gateway API: ``backendtlspolicy_types.go``): where the
certificate authorities come from, what is sent as SNI, and which names authenticate the peer.
"""

from __future__ import annotations

import msgspec

from controller.resources import BackendTLSPolicyValidation, ConfigMap, LocalObjectReference, Secret, SubjectAltName
from controller.store import Key
from controller.translate.certificates import TRUST_BUNDLE
from controller.translate.conditions import ConditionReason, Problem
from controller.translate.graph import Reads
from controller.translate.hostnames import hostname_problem
from gateway.routing_table import model

_BUNDLE_KINDS = (ConfigMap.kind, Secret.kind)


class TLSSettings(msgspec.Struct, frozen=True):
    """How to connect. With ``problem`` there is no way to, and ``tls`` must not be used."""

    tls: model.BackendTLS
    trust_bundles: tuple[model.TrustBundle, ...]
    problem: Problem | None
    ref_problems: tuple[Problem, ...]


def tls_settings(reads: Reads, namespace: str, validation: BackendTLSPolicyValidation) -> TLSSettings:
    """Settings for the references of an object in ``namespace``."""
    resolved = [_trust_bundle(reads, namespace, reference) for reference in validation.ca_certificate_refs]
    bundles = {found.key: found for found in resolved if isinstance(found, model.TrustBundle)}
    ref_problems = tuple(found for found in resolved if isinstance(found, Problem))
    names = tuple(name for name in map(_subject_alt_name, validation.subject_alt_names) if name is not None)
    return TLSSettings(
        tls=model.BackendTLS(server_name=validation.hostname, trust_bundles=tuple(bundles), subject_alt_names=names),
        trust_bundles=tuple(bundles.values()),
        problem=_source_problem(validation) or _names_problem(validation) or _authority_problem(bundles, ref_problems),
        ref_problems=ref_problems,
    )


def _trust_bundle(reads: Reads, namespace: str, reference: LocalObjectReference) -> model.TrustBundle | Problem:
    if reference.group or reference.kind not in _BUNDLE_KINDS:
        group = f" of group {reference.group}" if reference.group else ""
        return Problem(
            ConditionReason.INVALID_KIND,
            f"{reference.kind} {reference.name}{group} cannot hold certificate authorities: refer to a"
            f" {' or '.join(_BUNDLE_KINDS)}",
        )
    material = reads.result(TRUST_BUNDLE, Key(reference.kind, namespace, reference.name))
    return material.trust_bundle or Problem(ConditionReason.INVALID_CA_CERTIFICATE_REF, material.problem)


def _source_problem(validation: BackendTLSPolicyValidation) -> Problem | None:
    well_known = validation.well_known_ca_certificates
    if well_known and validation.ca_certificate_refs:
        return _invalid("caCertificateRefs and wellKnownCACertificates exclude each other: remove one")
    if well_known and well_known != "System":
        return _invalid(f"wellKnownCACertificates {well_known!r} is not supported: System is")
    if not well_known and not validation.ca_certificate_refs:
        return _invalid("neither caCertificateRefs nor wellKnownCACertificates is set")
    return None


def _names_problem(validation: BackendTLSPolicyValidation) -> Problem | None:
    problem = hostname_problem(validation.hostname)
    if problem:
        return _invalid(f"hostname: {problem}")
    for name in validation.subject_alt_names:
        if _subject_alt_name(name) is None:
            return _invalid(f"a subjectAltName of type {name.type!r} without a value for it: use Hostname or URI")
    return None


def _authority_problem(bundles: dict[str, model.TrustBundle], ref_problems: tuple[Problem, ...]) -> Problem | None:
    if bundles or not ref_problems:
        return None
    message = "; ".join(problem.message for problem in ref_problems)
    return Problem(ConditionReason.NO_VALID_CA_CERTIFICATE, f"no certificate authority is usable: {message}")


def _subject_alt_name(name: SubjectAltName) -> model.SubjectAltName | None:
    if name.type == "Hostname" and name.hostname:
        return model.SubjectAltName(type="Hostname", value=name.hostname)
    if name.type == "URI" and name.uri and name.uri.isascii():
        return model.SubjectAltName(type="URI", value=name.uri)
    return None


def _invalid(message: str) -> Problem:
    return Problem(ConditionReason.INVALID, message)
