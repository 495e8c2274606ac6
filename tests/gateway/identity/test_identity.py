"""What a gateway is to others; with a real controller in tests/controller/publish."""

from __future__ import annotations

import datetime
import ssl
from pathlib import Path

import pytest
from cryptography import x509

from controller.ca.authority import Authority
from controller.ca.service_account import ServiceAccount
from gateway.identity.controller_source import ControllerSource
from gateway.identity.credentials import CertificateRequest, IdentityError
from gateway.identity.files import MountedFile
from gateway.identity.settings import IdentitySettings

EDGE = ServiceAccount("prod", "edge")


def test_a_request_names_nobody() -> None:
    request = x509.load_pem_x509_csr(CertificateRequest().pem)
    assert request.is_signature_valid
    assert request.subject == x509.Name([])
    assert list(request.extensions) == []


def test_credentials_are_the_chain_for_the_key_that_was_asked_for() -> None:
    authority, request = Authority.create(), CertificateRequest()
    credentials = request.credentials(authority.sign(request.pem, EDGE))

    assert credentials.uri == "spiffe://cluster.local/ns/prod/sa/edge"
    assert "BEGIN" not in repr(credentials)
    context = credentials.context(authority.bundle_pem)
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED
    with pytest.raises(IdentityError, match="the private key does not belong to the certificate"):
        request.credentials(authority.sign(CertificateRequest().pem, EDGE))
    with pytest.raises(IdentityError, match="no certificate"):
        request.credentials("hello")


def test_a_key_leaves_no_open_file_behind() -> None:
    authority, request = Authority.create(), CertificateRequest()
    credentials = request.credentials(authority.sign(request.pem, EDGE))
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        credentials.context(authority.bundle_pem)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_mounted_file_is_read_again_when_it_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "token"
    file = MountedFile(path, "service-account token")
    with pytest.raises(IdentityError, match=r"service-account token .*/token cannot be read: No such file"):
        file.read()
    path.write_text("one\n")
    assert file.read() == "one"
    new = tmp_path / "new"
    new.write_text("two\n")
    new.replace(path)
    assert file.read() == "two"
    path.write_text("")
    with pytest.raises(IdentityError, match="is empty"):
        file.read()
    path.write_text("x" * 2_000_000)
    with pytest.raises(IdentityError, match="longer than"):
        file.read()


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(IdentityError, match="cannot be read: Is a directory"):
        MountedFile(tmp_path, "trust bundle").read()


async def test_a_bundle_that_is_none_is_said(tmp_path: Path) -> None:
    bundle, token = tmp_path / "ca.crt", tmp_path / "token"
    bundle.write_text("hello")
    token.write_text("token")
    settings = IdentitySettings(controller="https://localhost:1", trust_bundle=bundle, token=token)
    identity = ControllerSource(settings, lambda: datetime.datetime.now(datetime.UTC), lambda: 0.0)
    with pytest.raises(IdentityError, match="trust bundle is no PEM"):
        await identity.context()
    bundle.write_text(Authority.create().bundle_pem)
    with pytest.raises(IdentityError, match="does not give a certificate"):
        await identity.context()
