"""One change among many EgressPolicies is worked out once, and not once for each of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.sources import ManifestSource
from controller.store import Store
from controller.translate import Options, Translator, egress_policy_status
from controller.translate.egress_standing import domain_of
from gateway.agent.compiled import regex_problem
from tests.support.egress import egress_policy
from tests.support.manifests import Manifest, gateway, gateway_class, write

MANY = 40


def manifests(denied: str = "bad.example", allowed: str = "api-0.example") -> list[Manifest]:
    listener = {"name": "proxy", "port": 3128, "protocol": "sekisho.dev/EgressProxy"}
    names = [allowed, *(f"api-{number}.example" for number in range(1, MANY))]
    policies = [
        egress_policy(f"team-{number}", {"name": "r", "to": [{"names": [name]}]}) for number, name in enumerate(names)
    ]
    never = egress_policy("never", {"name": "r", "action": "Deny", "to": [{"names": [denied]}]})
    return [gateway_class(), gateway(listener), never, *policies]


def test_a_change_of_one_policy_concerns_that_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, store = ManifestSource((str(tmp_path),)), Store()
    translator = Translator(Options(regex_problem=regex_problem))
    worked_out: list[str] = []
    conflict = egress_policy_status._conflict

    def counted(parsed: object, *more: object) -> object:
        worked_out.append(parsed.policy.key)  # type: ignore[attr-defined]
        return conflict(parsed, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(egress_policy_status, "_conflict", counted)

    def change(objects: list[Manifest]) -> list[str]:
        worked_out.clear()
        write(tmp_path / "main.yaml", objects)
        change = source.load()
        assert not change.problems
        changed = store.apply(change.upserts, change.deletes)
        translator.update(store.snapshot(), changed)
        return sorted(worked_out)

    assert len(change(manifests())) == MANY + 1
    assert change(manifests(allowed="other.example")) == ["default/team-0"]
    # What one denies, those have to be held against it that name others of the domain, and it was there before.
    assert change(manifests(denied="x.api-1.example", allowed="other.example")) == ["default/never", "default/team-1"]
    assert change(manifests(denied="worse.example", allowed="other.example")) == ["default/never", "default/team-1"]
    assert len(change(manifests(denied="**.example", allowed="other.example"))) == MANY + 1


@pytest.mark.parametrize(
    ("pattern", "domain"),
    [
        ("a.b.example.com", "example.com"),
        ("*.b.example.com", "example.com"),
        ("**.example.com", "example.com"),
        ("example.com", "example.com"),
        ("*.com", ""),
        ("**.com", ""),
        ("com", ""),
        ("*", ""),
    ],
)
def test_a_pattern_is_of_the_domain_that_all_it_covers_is_in(pattern: str, domain: str) -> None:
    assert domain_of(pattern) == domain
