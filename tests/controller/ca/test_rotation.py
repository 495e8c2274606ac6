"""A change of roots, phase by phase: nobody ever meets a certificate that he cannot verify."""

from __future__ import annotations

import datetime
from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store

from controller.ca.authority import Authority
from controller.ca.material import Material, Phase
from controller.ca.root import AuthorityError, Root
from controller.ca.rotation import (
    AuthorityReport,
    GatewayTrust,
    ReplicaTrust,
    key_identifier,
    next_phase,
    objections,
    too_early,
)
from controller.ca.service_account import ServiceAccount
from tests.support.authorities import utc_now

EDGE = ServiceAccount("prod", "edge")
NOW = utc_now()


def believes(bundle: str, chain: str) -> bool:
    leaf, *above = x509.load_pem_x509_certificates(chain.encode())
    verifier = PolicyBuilder().store(Store(x509.load_pem_x509_certificates(bundle.encode()))).build_client_verifier()
    try:
        verifier.verify(leaf, above)
    except x509.verification.VerificationError:
        return False
    return True


def phases() -> list[Material]:
    first = Material(Root.create(NOW))
    second = next_phase(first, Root.create(NOW))
    third = next_phase(second, Root.create(NOW))
    return [first, second, third, next_phase(third, Root.create(NOW))]


def test_each_phase_follows_the_one_before() -> None:
    found = phases()
    assert [item.phase for item in found] == [Phase.STABLE, Phase.INTRODUCED, Phase.SWITCHED, Phase.STABLE]
    assert found[1].digest == found[2].digest
    assert len({found[0].digest, found[1].digest, found[3].digest}) == 3


def test_neighbours_in_time_believe_each_other() -> None:
    """Somebody is always late: every phase believes what the phase before and the phase after sign."""
    found = phases()
    signed = [Authority.of(material).issue(EDGE).chain for material in found]
    for older, newer in ((0, 1), (1, 2), (2, 3)):
        assert believes(found[older].bundle_pem, signed[newer])
        # What the first two signed is gone before the last: that is what the objections are for.
        assert believes(found[newer].bundle_pem, signed[older])
    assert not believes(found[3].bundle_pem, signed[0])


def test_a_change_of_root_takes_effect_in_a_running_authority() -> None:
    first, second, third, _ = phases()
    authority = Authority.of(first)
    told: list[str] = []
    authority.on_change(lambda: told.append(authority.root_key))
    before = authority.issue(EDGE).chain
    authority.take(second)
    assert authority.issue(EDGE).chain.splitlines()[-3] == before.splitlines()[-3], "the old root signs on"
    authority.take(third)
    assert believes(third.bundle_pem, authority.issue(EDGE).chain)
    assert not believes(first.bundle_pem, authority.issue(EDGE).chain)
    authority.take(third)
    assert told == [key_identifier(first.signing.certificate), key_identifier(third.signing.certificate)]


def test_the_texts_say_everything() -> None:
    for material in phases():
        with_denied = replace(material, denied=frozenset({EDGE.uri("cluster.local")}))
        again = Material.parse(with_denied.texts(), NOW)
        assert again.texts() == with_denied.texts()
        assert again.phase is material.phase


def test_a_next_root_that_is_half_there_is_none_yet_and_a_wrong_one_is_said() -> None:
    texts = phases()[1].texts()
    assert Material.parse({**texts, "next.key": ""}, NOW).phase is Phase.STABLE
    with pytest.raises(AuthorityError, match=r"the next root: .*does not belong"):
        Material.parse({**texts, "next.key": texts["ca.key"]}, NOW)


def test_phases_cannot_be_taken_out_of_turn() -> None:
    first, second, third, _ = phases()
    for material, step, text in (
        (second, lambda material: material.introduced(Root.create(NOW)), "on its way"),
        (first, lambda material: material.introduced(first.signing), "signs already"),
        (first, Material.switched, "no root was introduced"),
        (second, Material.dropped, "no root before"),
    ):
        with pytest.raises(AuthorityError, match=text):
            step(material)
    assert third.dropped().phase is Phase.STABLE


# --- when it may go on ------------------------------------------------------------------------------


def report(material: Material, *gateways: GatewayTrust, leads: bool = True, replica: str = "") -> AuthorityReport:
    return AuthorityReport(
        phase=material.phase.value,
        bundle=material.digest,
        root_key=key_identifier(material.signing.certificate),
        root_ends=material.signing.ends,
        certificate_seconds=3600.0,
        leads=leads,
        replicas=(ReplicaTrust(replica="controller-1", bundle=replica or material.digest),),
        gateways=gateways,
    )


def test_it_waits_for_every_gateway_and_replica() -> None:
    first, second, third, _ = phases()
    new = key_identifier(third.signing.certificate)
    old = key_identifier(first.signing.certificate)
    ready = GatewayTrust(gateway="edge-1", bundle=second.digest, root_key=old)
    late = GatewayTrust(gateway="edge-2", bundle=first.digest, root_key=old)
    silent = GatewayTrust(gateway="edge-3")

    assert objections(second, report(second, ready)) == ()
    assert [text.split()[0] for text in objections(second, report(second, ready, late, silent))] == ["edge-2", "edge-3"]
    assert "replica controller-1" in objections(second, report(second, replica="old"))[0]
    assert "does not lead" in objections(second, report(second, leads=False))[0]

    renewed = GatewayTrust(gateway="edge-1", bundle=third.digest, root_key=new)
    foreign = GatewayTrust(gateway="edge-9", bundle=third.digest, root_key="somebody else's")
    assert objections(third, report(third, renewed, foreign)) == ()
    assert "the root before has signed" in objections(third, report(third, renewed, ready))[0]


def test_where_nobody_is_connected_a_phase_lasts_for_a_life_of_certificates() -> None:
    first, second, *_ = phases()
    hour = datetime.timedelta(hours=1)
    assert too_early(first, NOW, NOW, hour) == ()
    assert "the next phase is for" in too_early(second, NOW, NOW + hour / 2, hour)[0]
    assert too_early(second, NOW, NOW + hour, hour) == ()


def test_denied_identities_are_read_line_by_line() -> None:
    texts = phases()[0].texts()
    denied = "# compromised\nspiffe://cluster.local/ns/prod/sa/edge # since monday\n\n"
    assert Material.parse({**texts, "denied": denied}, NOW).denied == {EDGE.uri("cluster.local")}
    with pytest.raises(AuthorityError, match="no SPIFFE identifier"):
        Material.parse({**texts, "denied": "edge"}, NOW)
