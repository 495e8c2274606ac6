"""Filters that inject credentials: a CredentialInjection and the values of its Secrets.

Where a value is missing the rule is not served: without its credential a request is not what it was meant to be. No
value is ever part of a message.
"""

from __future__ import annotations

from controller.resources import CredentialInjection, LocalObjectReference, Secret
from controller.resources.credential_injection import CredentialHeader
from controller.store import Key
from controller.translate.conditions import ConditionReason, Problem
from controller.translate.reference_grant import is_permitted, missing_grant
from controller.translate.rules import Rule
from gateway.routing_table import model
from gateway.routing_table.validate.filters import changeable, secret_value

SEKISHO_GROUP = CredentialInjection.group


def credential_injection(rule: Rule, reference: LocalObjectReference) -> model.CredentialInjection | None:
    """What an ExtensionRef to a CredentialInjection comes to; None where the rule has failed."""
    key = Key(CredentialInjection.kind, rule.referrer.route.namespace, reference.name)
    found = rule.reads.get(CredentialInjection, key.namespace, key.name)
    if found is None:
        rule.fail(Problem(ConditionReason.INVALID, f"{key} does not exist, so its credentials cannot be sent"))
        return None
    names = [header.name.lower() for header in found.spec.headers]
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated:
        rule.fail(Problem(ConditionReason.INVALID, f"{key} sets the header {repeated} more than once"))
        return None
    headers: list[model.SecretHeader] = []
    for header in found.spec.headers:
        value = _value(rule, key, header)
        problem = value if isinstance(value, Problem) else _problem(key, header, value)
        if problem is not None:
            rule.fail(problem)
            return None
        headers.append(model.SecretHeader(name=header.name.lower(), value=str(value)))
    return model.CredentialInjection(source=f"{key.namespace}/{key.name}", headers=tuple(headers))


def _value(rule: Rule, key: Key, header: CredentialHeader) -> str | Problem:
    reference = header.secret_key_ref
    target = Key(Secret.kind, reference.namespace or key.namespace, reference.name)
    if not is_permitted(rule.reads, key, SEKISHO_GROUP, target, ""):
        return Problem(ConditionReason.REF_NOT_PERMITTED, missing_grant(key, target))
    secret = rule.reads.get(Secret, target.namespace, target.name)
    data = secret.data.get(reference.key) if secret is not None else None
    if data is None:
        missing = f"has no {reference.key}" if secret is not None else "does not exist"
        return Problem(ConditionReason.INVALID, f"{key}: {target} {missing}, so header {header.name} cannot be set")
    try:
        text = data.decode("ascii").rstrip("\r\n")
    except UnicodeDecodeError:
        text = ""
    if not text:
        message = f"{key}: {reference.key} of {target} is no text that a header may carry (ASCII, not empty)"
        return Problem(ConditionReason.INVALID, message)
    return header.prefix + text


def _problem(key: Key, header: CredentialHeader, value: str) -> Problem | None:
    found = next(iter((*changeable(header.name.lower()), *secret_value(value))), None)
    return Problem(ConditionReason.INVALID, f"{key}: header {header.name}: {found}") if found else None
