"""AuthorizationPolicies: what is not wholly understood is kept as a refusal, never dropped."""

from __future__ import annotations

from typing import Any

import pytest

from controller.resources import AuthorizationPolicy, parse
from tests.controller.resources.samples import object_of

API = "security.istio.io/v1"


def policy(spec: Any) -> AuthorizationPolicy:
    result = parse(object_of("AuthorizationPolicy", spec, api_version=API))
    assert isinstance(result.resource, AuthorizationPolicy), result.problems
    assert result.problems == ()
    return result.resource


def rule(**fields: Any) -> dict[str, Any]:
    return {"rules": [fields]}


def test_a_policy_is_read_as_it_is_written() -> None:
    source = {"principals": ["cluster.local/ns/a/sa/b"], "notIpBlocks": ["10.0.0.0/8"]}
    operation = {"methods": ["GET"], "ports": ["80"]}
    condition = {"key": "request.headers[x-user]", "values": ["ann"], "notValues": None}
    read = policy(
        {
            "action": "DENY",
            "targetRefs": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge"}],
            "rules": [{"from": [{"source": source}], "to": [{"operation": operation}], "when": [condition]}],
        }
    )
    assert read.refusal == ""
    assert read.spec.action == "DENY"
    assert read.spec.targets[0].name == "edge"
    (found,) = read.spec.rules
    assert found.from_[0].source.not_ip_blocks == ("10.0.0.0/8",)
    assert found.to[0].operation.ports == ("80",)
    assert found.when[0].not_values == ()


@pytest.mark.parametrize("spec", [None, {}, {"rules": None}, {"rules": []}])
def test_no_rules_are_understood(spec: Any) -> None:
    read = policy(spec)
    assert (read.refusal, read.spec.action, read.spec.rules) == ("", "ALLOW", ())


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (rule(unless=[]), "spec.rules[0].unless: the field is unknown"),
        (rule(**{"from": [{"source": {"countries": ["jp"]}}]}), "source.countries: the field is unknown"),
        (rule(**{"from": [{"ips": []}]}), "ips"),
        (rule(**{"from": []}), "spec.rules[0].from: the list is empty"),
        (rule(to=[{"operation": {"paths": []}}]), "paths: the list is empty"),
        (rule(to=[{"operation": {"ports": [80]}}]), "expected a string, got 80"),
        (rule(to=[{"operation": {"ports": ["http"]}}]), "'http' is no port"),
        (rule(to=[{}]), "operation"),
        (rule(when=[{"values": ["x"]}]), "key"),
        ({"action": "BLOCK", "rules": [{}]}, "'BLOCK' is none of"),
        ({"rules": "all"}, "expected a list"),
        ("all", "expected a mapping"),
        ({"rules": [7]}, "expected a mapping"),
    ],
)
def test_what_is_not_understood_is_a_refusal_without_rules(spec: Any, said: str) -> None:
    read = policy(spec)
    assert said in read.refusal
    assert read.spec.rules == ()


def test_an_action_that_cannot_be_read_denies() -> None:
    assert policy({"action": 7, "rules": [{}]}).spec.action == "DENY"
    assert policy({"action": "CUSTOM", "unknown": 1}).spec.action == "CUSTOM"


def test_a_selection_that_can_be_read_is_kept_beside_a_refusal() -> None:
    selector = {"matchLabels": {"app": "cart"}}
    read = policy({"selector": selector, "unknown": 1})
    assert read.spec.selector is not None
    assert read.spec.selector.match_labels == {"app": "cart"}


@pytest.mark.parametrize(
    "spec",
    [
        {"selector": {"labels": {"app": "cart"}}},
        {"selector": {"matchLabels": {"app": "cart"}}, "targetRefs": [{"kind": "Gateway", "name": "edge"}]},
        {"targetRefs": [{"kind": "Gateway"}]},
        {"selector": "app=cart"},
    ],
)
def test_a_selection_that_cannot_be_read_is_everything(spec: Any) -> None:
    read = policy(spec)
    assert read.refusal
    assert read.spec.selector is None
    assert read.spec.targets == ()


def test_a_policy_cannot_write_its_own_refusal() -> None:
    document = object_of("AuthorizationPolicy", {"rules": [{}]}, api_version=API) | {"refusal": "x"}
    read = parse(document).resource
    assert isinstance(read, AuthorizationPolicy)
    assert read.refusal == ""
