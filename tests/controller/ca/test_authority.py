from __future__ import annotations

import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.x509.oid import NameOID
from cryptography.x509.verification import PolicyBuilder, Store

from controller.ca.authority import Authority, AuthorityError, AuthoritySettings, RequestError
from controller.ca.service_account import IdentityError, ServiceAccount

NOW = datetime.datetime(2026, 6, 1, 12, 0, tzinfo=datetime.UTC)
EDGE = ServiceAccount("prod", "edge")
DAY = datetime.timedelta(days=1)
RequestKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey | dsa.DSAPrivateKey


def authority(now: datetime.datetime = NOW, **settings: object) -> Authority:
    return Authority.create(AuthoritySettings(**settings), lambda: now)  # type: ignore[arg-type]


def request(key: RequestKey, subject: str = "") -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)] if subject else [])
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    builder = x509.CertificateSigningRequestBuilder().subject_name(name)
    return builder.sign(key, algorithm).public_bytes(serialization.Encoding.PEM)


def leaf(chain: str) -> x509.Certificate:
    return x509.load_pem_x509_certificates(chain.encode())[0]


def test_a_leaf_says_who_it_is_and_nothing_else() -> None:
    root = authority()
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = leaf(root.sign(request(key, "CN of its own"), EDGE))

    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert [name.value for name in names.value] == ["spiffe://cluster.local/ns/prod/sa/edge"]
    assert names.critical
    assert certificate.subject == x509.Name([])
    assert certificate.public_key() == key.public_key()
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert not certificate.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    assert root.identity(certificate) == EDGE


def test_a_leaf_begins_before_now_and_ends_after_its_life_but_never_after_the_root() -> None:
    root = authority(lifetime=DAY)
    certificate = leaf(root.sign(request(ec.generate_private_key(ec.SECP256R1())), EDGE))
    assert certificate.not_valid_before_utc == NOW - datetime.timedelta(minutes=5)
    assert certificate.not_valid_after_utc == NOW + DAY

    late = root_ends(root) - datetime.timedelta(hours=1)
    old = Authority(root.bundle_pem, root.private_key_pem, AuthoritySettings(lifetime=DAY), lambda: late)
    assert old.issue(EDGE).ends == root_ends(root)


def root_ends(root: Authority) -> datetime.datetime:
    return leaf(root.bundle_pem).not_valid_after_utc


def test_chains_are_believed_by_a_verifier_that_knows_the_root_alone() -> None:
    root, other = authority(), authority()
    certificate, *chain = x509.load_pem_x509_certificates(root.issue(EDGE).chain.encode())
    verifier = PolicyBuilder().store(Store([leaf(root.bundle_pem)])).time(NOW).build_client_verifier()
    assert verifier.verify(certificate, chain).subjects is not None
    stranger = PolicyBuilder().store(Store([leaf(other.bundle_pem)])).time(NOW).build_client_verifier()
    with pytest.raises(x509.verification.VerificationError):
        stranger.verify(certificate, chain)


def test_a_server_certificate_has_names_and_addresses_besides() -> None:
    issued = authority().issue(EDGE, ("sekisho-controller.sekisho-system.svc", "127.0.0.1"))
    names = leaf(issued.chain).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["sekisho-controller.sekisho-system.svc"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]
    assert len(names.get_values_for_type(x509.UniformResourceIdentifier)) == 1


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP384R1()),
        ed25519.Ed25519PrivateKey.generate(),
        rsa.generate_private_key(65537, 2048),
    ],
    ids=["P-384", "Ed25519", "RSA-2048"],
)
def test_keys_of_other_good_kinds_are_signed(key: RequestKey) -> None:
    assert leaf(authority().sign(request(key), EDGE)).public_key() == key.public_key()


@pytest.mark.parametrize(
    "key",
    [ec.generate_private_key(ec.SECP256K1()), ec.generate_private_key(ec.SECP521R1()), dsa.generate_private_key(1024)],
    ids=["secp256k1", "P-521", "DSA"],
)
def test_other_keys_are_refused(key: RequestKey) -> None:
    with pytest.raises(RequestError, match="the key must be"):
        authority().sign(request(key), EDGE)


def test_a_request_that_its_key_did_not_sign_is_refused() -> None:
    pem = request(ec.generate_private_key(ec.SECP256R1()), "name")
    der = bytearray(x509.load_pem_x509_csr(pem).public_bytes(serialization.Encoding.DER))
    der[der.index(b"name")] ^= 1
    forged = x509.load_der_x509_csr(bytes(der)).public_bytes(serialization.Encoding.PEM)
    with pytest.raises(RequestError, match="not signed by its own key"):
        authority().sign(forged, EDGE)


@pytest.mark.parametrize("content", [b"", b"hello", b"-----BEGIN CERTIFICATE REQUEST-----\nAA==\n"])
def test_what_is_no_request_is_refused(content: bytes) -> None:
    with pytest.raises(RequestError, match="not a certificate request"):
        authority().sign(content, EDGE)


def test_it_is_the_same_authority_after_a_restart() -> None:
    root = authority()
    again = Authority(root.bundle_pem, root.private_key_pem, now=lambda: NOW)
    assert again.bundle_pem == root.bundle_pem
    assert again.identity(leaf(root.issue(EDGE).chain)) == EDGE


def test_others_in_its_bundle_are_believed_too() -> None:
    root, old = authority(), authority()
    both = Authority(root.bundle_pem + old.bundle_pem, root.private_key_pem, now=lambda: NOW)
    assert both.bundle_pem == root.bundle_pem + old.bundle_pem


def test_what_cannot_be_used_says_why_without_the_key() -> None:
    root, other = authority(), authority()
    late = NOW + datetime.timedelta(days=4000)
    for certificates, key, now, text in (
        (root.bundle_pem, other.private_key_pem, NOW, "does not belong"),
        (root.bundle_pem, "nonsense", NOW, "private key is not PEM"),
        ("nonsense", root.private_key_pem, NOW, "certificate is not PEM"),
        (root.bundle_pem, root.private_key_pem, late, "ended on 2036"),
    ):
        with pytest.raises(AuthorityError, match=text) as caught:
            Authority(certificates, key, now=lambda now=now: now)  # type: ignore[misc]
        assert "nonsense" not in str(caught.value)


def test_nothing_shows_a_key() -> None:
    root = authority()
    for shown in (repr(root), repr(root.issue(EDGE)), str(root.issue(EDGE))):
        assert "BEGIN" not in shown
        assert "redacted" in shown


@pytest.mark.parametrize("lifetime", [datetime.timedelta(0), datetime.timedelta(days=5000)])
def test_a_life_that_makes_no_sense_is_refused(lifetime: datetime.timedelta) -> None:
    with pytest.raises(AuthorityError):
        AuthoritySettings(lifetime=lifetime)


# --- identities -------------------------------------------------------------------------------------


def test_an_identity_goes_there_and_back() -> None:
    assert ServiceAccount.of_uri(EDGE.uri("example.org"), "example.org") == EDGE
    assert ServiceAccount.of_user("system:serviceaccount:prod:edge") == EDGE


@pytest.mark.parametrize(
    "uri",
    [
        "spiffe://cluster.local.evil/ns/prod/sa/edge",
        "spiffe://cluster.local/ns/prod/sa/",
        "spiffe://cluster.local/ns//sa/edge",
        "spiffe://cluster.local/ns/prod/sa/edge/more",
        "spiffe://cluster.local/ns/prod/sa/edge?x",
        "SPIFFE://cluster.local/ns/prod/sa/edge",
        "spiffe://cluster.local/ns/Prod/sa/edge",
    ],
)
def test_what_only_looks_like_an_identity_is_none(uri: str) -> None:
    with pytest.raises(IdentityError):
        ServiceAccount.of_uri(uri, "cluster.local")


@pytest.mark.parametrize("user", ["", "admin", "system:serviceaccount:prod", "system:serviceaccount:prod:edge:x"])
def test_other_users_are_no_service_accounts(user: str) -> None:
    with pytest.raises(IdentityError):
        ServiceAccount.of_user(user)


@pytest.mark.parametrize("trust_domain", ["", "Cluster.Local", "a/b", "a b", "spiffe://a"])
def test_a_trust_domain_is_checked(trust_domain: str) -> None:
    with pytest.raises(IdentityError):
        AuthoritySettings(trust_domain=trust_domain)
