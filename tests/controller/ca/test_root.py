"""Roots that users give: which are taken, and what is said of the others."""

from __future__ import annotations

import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.verification import PolicyBuilder, Store

from controller.ca.authority import Authority
from controller.ca.root import AuthorityError, Root
from controller.ca.service_account import ServiceAccount
from tests.support.authorities import HOUR, Made, signing, utc_now

EDGE = ServiceAccount("prod", "edge")


def chain_of(authority: Authority) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(authority.issue(EDGE).chain.encode())


def believed(chain: list[x509.Certificate], *roots: Made) -> bool:
    verifier = PolicyBuilder().store(Store([root.certificate for root in roots])).build_client_verifier()
    try:
        verifier.verify(chain[0], chain[1:])
    except x509.verification.VerificationError:
        return False
    return True


def test_a_root_of_the_user_signs_by_an_intermediate() -> None:
    root = signing("root", path_length=1)
    authority = Authority(root.pem, root.key_pem)
    chain = chain_of(authority)

    assert len(chain) == 2
    intermediate = chain[1].extensions.get_extension_for_class(x509.BasicConstraints).value
    assert (intermediate.ca, intermediate.path_length) == (True, 0)
    assert believed(chain, root)
    assert authority.bundle_pem == root.pem


def test_an_intermediate_of_the_user_is_served_with_its_whole_chain() -> None:
    root = signing("root")
    middle = signing("middle", root)
    low = signing("low", middle)
    authority = Authority(low.pem + middle.pem + root.pem, low.key_pem)
    chain = chain_of(authority)

    assert [certificate.subject for certificate in chain[2:]] == [low.certificate.subject, middle.certificate.subject]
    assert believed(chain, root)
    assert authority.bundle_pem == root.pem


def test_where_none_may_stand_below_the_root_signs_itself() -> None:
    root = signing("root", path_length=1)
    last = signing("last", root, path_length=0)
    assert len(chain_of(Authority(last.pem + root.pem, last.key_pem))) == 2
    assert believed(chain_of(Authority(last.pem + root.pem, last.key_pem)), root)
    single = signing("single", path_length=0)
    assert len(chain_of(Authority(single.pem, single.key_pem))) == 1


@pytest.mark.parametrize("key", [ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 2048)])
def test_keys_of_other_kinds_sign_too(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> None:
    root = signing("root", key=key)
    assert believed(chain_of(Authority(root.pem, root.key_pem)), root)


def wrong() -> dict[str, tuple[str, Made, str]]:
    root = signing("root")
    tight = signing("tight", path_length=0)
    below_tight = signing("below", tight)
    orphan = signing("orphan", root)
    return {
        "leaf": ("", signing("leaf", ca=False), "not CA:TRUE"),
        "usage": ("", signing("usage", usage=False), "no keyCertSign"),
        "ended": ("", signing("ended", ends=utc_now() - HOUR / 2), "ended on"),
        "future": ("", signing("future", begins=utc_now() + HOUR), "begins on"),
        "path": (tight.pem, below_tight, "path length"),
        "orphan": ("", orphan, "no root is among the certificates"),
        "small": ("", signing("small", key=rsa.generate_private_key(65537, 1024)), "RSA of 2048 bits up"),
        "curve": ("", signing("curve", key=ec.generate_private_key(ec.SECP521R1())), "P-256 or P-384"),
    }


@pytest.mark.parametrize("name", sorted(wrong()))
def test_what_may_not_sign_says_why(name: str) -> None:
    above, made, text = wrong()[name]
    with pytest.raises(AuthorityError, match=text):
        Root.parse(made.pem + above, made.key_pem, utc_now())


def test_an_intermediate_of_the_user_that_ended_is_refused_though_its_root_lives() -> None:
    root = signing("root")
    low = signing("low", root, ends=utc_now() - HOUR / 2)
    with pytest.raises(AuthorityError, match=r"ended on .*CN=low"):
        Root.parse(low.pem + root.pem, low.key_pem, utc_now())


def test_the_intermediate_is_made_anew_at_half_of_its_life() -> None:
    now = utc_now()
    authority = Authority.create(now=lambda: now)
    first = chain_of(authority)[1]
    assert chain_of(authority)[1] == first
    now += datetime.timedelta(days=8)
    second = chain_of(authority)[1]
    assert second != first
    assert second.issuer == first.issuer
    assert second.not_valid_after_utc > first.not_valid_after_utc
