"""The quickstart: its curl lines work word for word, and what a person changed is kept."""

from __future__ import annotations

import json
import stat
import subprocess
from pathlib import Path

import pytest
from cryptography import x509

from controller.demo import BACKENDS, prepare, sample_backends, self_signed
from controller.examples.backends import RunningBackends, greeting_name, grpc_frame
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
    demo = Demo(tmp_path, "output.log")
    try:
        lines = demo.curl_lines()
        plain, secure, grpc = (shell(line, tmp_path) for line in lines)
        assert json.loads(plain)["backend"] in {"shop-v1", "shop-v2"}
        assert json.loads(secure)["headers"]["x-forwarded-proto"] == "https"
        assert "https://" in lines[1]
        assert "--insecure" not in lines[1]
        assert b"Hello world, this is greeter" in grpc
        assert b"grpc-status: 0" in grpc
    finally:
        demo.process.stop()


async def test_sample_backends_find_free_ports_and_the_manifests_follow(tmp_path: Path) -> None:
    manifests = prepare(tmp_path)
    shop = manifests / "shop.yaml"
    shop.write_text("# mine: port 3001\n" + shop.read_text().replace("- port: 3002", "- port: 3999"))
    before = shop.read_text()
    strangers = RunningBackends(BACKENDS)
    first = sample_backends(tmp_path)
    assert not set(first.ports.values()) & {*BACKENDS.values(), *strangers.ports.values()}
    after = before
    for name in ("shop-v1", "shop-v2"):
        after = after.replace(f"port: {BACKENDS[name]}", f"port: {first.ports[name]}")
    assert shop.read_text() == after
    assert "port: 3999" in after
    await first.close()
    second = sample_backends(tmp_path)
    assert second.ports == first.ports
    assert shop.read_text() == after
    await second.close()
    await strangers.close()


def test_two_demos_run_side_by_side(tmp_path: Path) -> None:
    demos = [Demo(tmp_path, f"{number}.log", "--port-offset", str(20_000 + 1000 * number)) for number in (1, 2)]
    try:
        for demo in demos:
            lines = demo.curl_lines()
            assert json.loads(shell(lines[0], tmp_path))["backend"] in {"shop-v1", "shop-v2"}
            assert b"Hello world, this is greeter" in shell(lines[2], tmp_path)
    finally:
        for demo in demos:
            demo.process.stop()


class Demo:
    """A running demo."""

    def __init__(self, directory: Path, log: str, *arguments: str) -> None:
        admin = f"127.0.0.1:{free_port()}"
        command = sekisho_command("demo", "--admin", admin, "--access-log", "none", *arguments)
        self.process = ManagedProcess(command, directory / log, directory=directory)
        self.process.start()

    def curl_lines(self) -> list[str]:
        process = self.process
        eventually(lambda: "watching" in process.output() or process.exit_code is not None, within=15, what="the demo")
        lines = [line.removeprefix("try: ") for line in process.output().splitlines() if line.startswith("try: ")]
        assert len(lines) == 3, process.output()
        return lines


def shell(command: str, directory: Path) -> bytes:
    done = subprocess.run(["bash", "-c", command], cwd=directory, capture_output=True, timeout=20, check=False)
    assert done.returncode == 0, (command, done.stderr.decode())
    return done.stdout
