"""The quickstart: its curl lines work word for word, and what a person changed is kept."""

from __future__ import annotations

import json
import stat
import subprocess
from pathlib import Path

import pytest
from cryptography import x509

from controller.demo import prepare, self_signed
from controller.examples.backends import greeting_name, grpc_frame
from controller.offline import Offline
from tests.support.ports import free_port
from tests.support.processes import ManagedProcess
from tests.support.sekisho import sekisho_command
from tests.support.waiting import eventually


def test_the_manifests_are_without_a_problem_once_they_are_prepared(tmp_path: Path) -> None:
    manifests = prepare(tmp_path)
    offline = Offline([str(manifests)])
    assert offline.report().problems == ()
    assert {listener.protocol for listener in offline.table.listeners} == {"HTTP", "HTTPS"}


def test_what_a_person_changed_is_kept_and_the_certificate_too(tmp_path: Path) -> None:
    manifests = prepare(tmp_path)
    (manifests / "shop.yaml").write_text("# mine\n")
    certificate = (tmp_path / "certificate.pem").read_bytes()
    prepare(tmp_path)
    assert (manifests / "shop.yaml").read_text() == "# mine\n"
    assert (tmp_path / "certificate.pem").read_bytes() == certificate


def test_a_certificate_that_has_ended_is_made_anew(tmp_path: Path) -> None:
    prepare(tmp_path)
    (tmp_path / "certificate.pem").write_text("not a certificate")
    prepare(tmp_path)
    x509.load_pem_x509_certificate((tmp_path / "certificate.pem").read_bytes())


def test_the_private_key_is_for_its_owner_alone(tmp_path: Path) -> None:
    manifests = prepare(tmp_path)
    secret = manifests / "certificate.yaml"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert not any(path.read_text().count("PRIVATE KEY") for path in tmp_path.rglob("*") if path.is_file())


def test_the_certificate_covers_the_names_it_is_asked_for() -> None:
    chain, _ = self_signed(["*.localhost", "localhost"])
    names = x509.load_pem_x509_certificate(chain).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert names.value.get_values_for_type(x509.DNSName) == ["*.localhost", "localhost"]


@pytest.mark.parametrize("name", ["", "world", "関所", "x" * 127])
def test_a_greeting_s_name_is_read_as_protobuf_writes_it(name: str) -> None:
    if len(name.encode()) <= 127:
        assert greeting_name(grpc_frame(name)) == name


@pytest.mark.parametrize(
    "frame", [b"", b"\x00\x00\x00\x00\x05ab", b"\x01\x00\x00\x00\x00", b"\x00\x00\x00\x00\x01\x12"]
)
def test_a_malformed_greeting_is_refused(frame: bytes) -> None:
    with pytest.raises(ValueError, match="expected"):
        greeting_name(frame)


def test_the_curl_lines_that_are_printed_work_as_they_are(tmp_path: Path) -> None:
    command = sekisho_command("demo", "--admin", f"127.0.0.1:{free_port()}", "--access-log", "none")
    demo = ManagedProcess(command, tmp_path / "output.log", directory=tmp_path)
    demo.start()
    try:
        eventually(lambda: "watching" in demo.output() or demo.exit_code is not None, within=15, what="the demo")
        lines = [line.removeprefix("try: ") for line in demo.output().splitlines() if line.startswith("try: ")]
        assert len(lines) == 3, demo.output()
        plain, secure, grpc = (shell(line, tmp_path) for line in lines)
        assert json.loads(plain)["backend"] in {"shop-v1", "shop-v2"}
        assert json.loads(secure)["headers"]["x-forwarded-proto"] == "https"
        assert "https://" in lines[1]
        assert "--insecure" not in lines[1]
        assert b"Hello world, this is greeter" in grpc
        assert b"grpc-status: 0" in grpc
    finally:
        demo.stop()


def shell(command: str, directory: Path) -> bytes:
    done = subprocess.run(["bash", "-c", command], cwd=directory, capture_output=True, timeout=20, check=False)
    assert done.returncode == 0, (command, done.stderr.decode())
    return done.stdout
