"""Programs that know of the proxy by their own settings alone: httpx, pip and grpcio. curl is among the others."""

from __future__ import annotations

import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.backends.grpc_echo import GrpcBackend
from tests.support.certificates import Authority
from tests.support.egress import EgressGateway, egress_policy, ways_out
from tests.support.outside import OTHER_PUBLIC, PUBLIC, THIRD_PUBLIC, Outside
from tests.support.package_index import NAME, WHEEL, serving, write_index

INDEX_PORT, GRPC_PORT = 8444, 8446
PROXY = "http://127.0.0.1:3128"
POLICY = egress_policy(
    "clients",
    {"name": "web", "to": [{"names": ["ok.example"], "ports": [80, 443]}]},
    {"name": "packages", "to": [{"names": ["index.example"], "ports": [INDEX_PORT]}]},
    {"name": "calls", "to": [{"names": ["grpc.example"], "ports": [GRPC_PORT]}]},
    contact="security@example.com",
)


@pytest.fixture(scope="module")
def gateway(outside: Outside, directory: Path, authority: Authority) -> Iterator[EgressGateway]:
    """With an index and a gRPC server outside; each also under a name that nothing allows."""
    names = ("index.example", "other-index.example", "grpc.example", "other-grpc.example")
    outside.zone.update(zip(names, ([OTHER_PUBLIC], [OTHER_PUBLIC], [THIRD_PUBLIC], [THIRD_PUBLIC]), strict=True))
    issued = authority.issue(*names)
    write_index(directory / "index")
    tls = (issued.private_key.encode(), issued.chain.encode())
    backend = outside.beyond.run(lambda: GrpcBackend(tls=tls, address=THIRD_PUBLIC, port=GRPC_PORT))
    context = issued.server_context(directory)
    with (
        serving(directory / "index", (OTHER_PUBLIC, INDEX_PORT), context, outside.beyond.run),
        backend,
        EgressGateway(outside, directory / "clients", ways_out(POLICY)) as running,
    ):
        yield running


def inside(gateway: EgressGateway, *command: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program beside the gateway, with nothing in its environment but this."""
    words = ["ip", "netns", "exec", gateway.outside.inside.name, "env", "-i", "PATH=/usr/bin:/bin", "HOME=/nonexistent"]
    words += [f"{name}={value}" for name, value in environment.items()]
    return subprocess.run(
        [*words, *map(str, command)], capture_output=True, text=True, check=False, timeout=60, cwd=gateway.log.parent
    )


def test_httpx_by_its_environment(
    gateway: EgressGateway, authority_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "HTTP_PROXY"):
        monkeypatch.setenv(name, PROXY)
    for name in ("NO_PROXY", "no_proxy", "https_proxy", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)

    trust = ssl.create_default_context(cafile=str(authority_file))

    def get(url: str) -> httpx.Response:
        def ask() -> httpx.Response:
            with httpx.Client(verify=trust, timeout=10) as client:
                return client.get(url)

        return gateway.outside.inside.run(ask)

    assert get("https://ok.example/").text == f"outside {PUBLIC}"
    assert get("http://ok.example/").text == f"outside {PUBLIC}"
    denied = get("http://other.example/")
    assert (denied.status_code, "security@example.com" in denied.text) == (403, True)
    with pytest.raises(httpx.ProxyError, match="403"):
        get("https://other.example/")
    record = gateway.decision(host="ok.example", port=443, method="CONNECT")
    assert (record["decision"], record["rule"]) == ("allow", "web")


def test_pip_from_an_index_over_tls(gateway: EgressGateway, authority_file: Path, tmp_path: Path) -> None:
    def download(index: str, into: Path) -> subprocess.CompletedProcess[str]:
        pip = [sys.executable, "-m", "pip", "--isolated", "--disable-pip-version-check", "--no-cache-dir"]
        options = ["--proxy", PROXY, "--cert", authority_file, "--retries", "0", "--timeout", "10"]
        url = f"https://{index}:{INDEX_PORT}/simple/"
        return inside(gateway, *pip, "download", *options, "--index-url", url, "--no-deps", "--dest", into, NAME)

    allowed = download("index.example", tmp_path / "allowed")
    assert (tmp_path / "allowed" / WHEEL).is_file(), allowed.stderr
    denied = download("other-index.example", tmp_path / "denied")
    assert denied.returncode != 0
    assert not list((tmp_path / "denied").glob("*.whl"))
    record = gateway.decision(host="index.example", decision="allow")
    assert record["dialled"] == f"{OTHER_PUBLIC}:{INDEX_PORT}"
    assert gateway.decision(host="other-index.example")["decision"] == "deny"


def test_grpcio_by_its_environment(gateway: EgressGateway, authority_file: Path) -> None:
    def call(host: str) -> subprocess.CompletedProcess[str]:
        program = [sys.executable, "-m", "tests.support.clients.grpc_call", f"{host}:{GRPC_PORT}", authority_file]
        root = str(Path(__file__).parents[3])
        return inside(gateway, *program, https_proxy=PROXY, http_proxy=PROXY, PYTHONPATH=root)

    allowed = call("grpc.example")
    assert '"through"' in allowed.stdout, allowed.stdout + allowed.stderr
    assert gateway.decision(host="grpc.example")["dialled"] == f"{THIRD_PUBLIC}:{GRPC_PORT}"
    denied = call("other-grpc.example")
    assert denied.returncode == 1
    assert denied.stdout.startswith("UNAVAILABLE"), denied.stdout + denied.stderr
    assert gateway.decision(host="other-grpc.example")["decision"] == "deny"
