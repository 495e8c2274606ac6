"""`sekisho demo`: the quickstart with everything around it.

Owns what a person would otherwise do by hand: a folder with the quickstart's manifests to play
with, a certificate for the names under ``.localhost``, and sample backends. The gateway is the one
of `sekisho up`.
"""

from __future__ import annotations

import base64
import datetime
import fcntl
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated, Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from controller.app import Standalone, run_until_done
from controller.config import StandaloneSettings, TranslationSettings
from controller.errors import SampleBackendError
from controller.examples.backends import RunningBackends
from controller.terminal.writer import Writer
from gateway.config import GatewaySettings

BACKENDS: Final = {"shop-v1": 3001, "shop-v2": 3002, "greeter": 3003, "chat": 3004}
"""Where the quickstart's manifests expect the sample backends, unless a demo has had to move them."""
_Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
_PORT_FIELD: Final = re.compile(r"(?m)^([ -]*port: )(\d{1,5})\b")
_MOST_DEMOS: Final = 9
_NAMES: Final = ("*.localhost", "shop.localhost", "greeter.localhost", "chat.localhost", "localhost")
_DAYS: Final = 30
_CERTIFICATE_MANIFEST: Final = """\
# Made by `sekisho demo`: a self-signed certificate for names under .localhost.
apiVersion: v1
kind: Secret
metadata:
  name: quickstart-tls
type: kubernetes.io/tls
data:
  tls.crt: {chain}
  tls.key: {key}
"""


def run_demo(directory: Path, translation: TranslationSettings, gateway: GatewaySettings, writer: Writer) -> int:
    """Runs the demo to its end; the exit status."""
    with _own_directory(directory) as own:
        manifests = prepare(own)
        settings = StandaloneSettings(paths=(str(manifests),), translation=translation, gateway=gateway)

        async def program() -> int:
            backends = sample_backends(own)
            backends.start()
            try:
                return await Standalone(settings, writer, authority=own / "certificate.pem").run()
            finally:
                await backends.close()

        return run_until_done(program)


@contextmanager
def _own_directory(wanted: Path) -> Iterator[Path]:
    """``wanted``, or ``wanted-2`` and so on while demos run in those before it: each has manifests of its own."""
    for number in range(1, _MOST_DEMOS + 1):
        directory = wanted if number == 1 else wanted.with_name(f"{wanted.name}-{number}")
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(directory / ".lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            if _locked(lock):
                yield directory
                return
        finally:
            os.close(lock)
    raise SampleBackendError(f"{_MOST_DEMOS} demos run beside {wanted}", "stop one, or choose another --directory")


def _locked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def sample_backends(directory: Path) -> RunningBackends:
    """The backends, and the manifests in agreement with where they listen."""
    ports = directory / "ports.json"
    before = _written_ports(ports)
    try:
        backends = RunningBackends(before)
    except OSError as error:
        raise SampleBackendError(
            f"a sample backend cannot be started: {error.strerror}", "check that 127.0.0.1 may be listened on"
        ) from error
    if backends.ports != before:
        _move_ports(directory / "manifests", {port: backends.ports[name] for name, port in before.items()})
        ports.write_bytes(msgspec.json.encode(backends.ports))
    return backends


def _written_ports(path: Path) -> dict[str, int]:
    """The ports that the manifests were last given; a person may have written others since, which stay."""
    try:
        ports = msgspec.json.decode(path.read_bytes(), type=dict[str, _Port])
    except (OSError, msgspec.DecodeError):
        return dict(BACKENDS)
    return ports if ports.keys() == BACKENDS.keys() else dict(BACKENDS)


def _move_ports(manifests: Path, moved: Mapping[int, int]) -> None:
    """Writes other ports into the quickstart's own files, and leaves everything else in them as it is."""

    def new(found: re.Match[str]) -> str:
        return f"{found[1]}{moved.get(int(found[2]), found[2])}"

    for path in sorted(manifests / name for name in _quickstart_names()):
        text = path.read_text()
        if (changed := _PORT_FIELD.sub(new, text)) != text:
            path.write_text(changed)


def _quickstart_names() -> list[str]:
    return [item.name for item in files("controller.examples").joinpath("quickstart").iterdir()]


def prepare(directory: Path) -> Path:
    """Writes manifests and certificate, keeping what a person has changed; returns the manifests' folder."""
    manifests = directory / "manifests"
    manifests.mkdir(mode=0o700, parents=True, exist_ok=True)
    with as_file(files("controller.examples").joinpath("quickstart")) as quickstart:
        for source in sorted(quickstart.glob("*.yaml")):
            target = manifests / source.name
            if not target.exists():
                shutil.copyfile(source, target)
    certificate = directory / "certificate.pem"
    secret = manifests / "certificate.yaml"
    if not _still_good(certificate) or not secret.exists():
        chain, key = self_signed(_NAMES)
        certificate.write_bytes(chain)
        _write_private(secret, _CERTIFICATE_MANIFEST.format(chain=_base64(chain), key=_base64(key)))
    return manifests


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _write_private(path: Path, content: str) -> None:
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(content)


def _still_good(path: Path) -> bool:
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError):
        return False
    tomorrow = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1)
    return certificate.not_valid_after_utc > tomorrow


def self_signed(names: Iterable[str]) -> tuple[bytes, bytes]:
    """A certificate that is its own authority, and its key, both PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sekisho demo")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=_DAYS))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(item) for item in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM), private
