"""Who is who in the benchmark: what clients are shown, and by what the edge and the backend know each other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.bench.workloads import HOST
from tests.support.certificates import Authority, Issued

BACKEND_HOST = "origin.bench.test"
BACKEND_IDENTITY = "spiffe://bench.test/ns/default/sa/origin"
EDGE_IDENTITY = "spiffe://bench.test/ns/default/sa/edge"


@dataclass(frozen=True)
class Credentials:
    """A certificate and its key, as values and as files."""

    issued: Issued
    chain: Path
    key: Path
    both: Path
    """Chain and key in one file."""

    @classmethod
    def write(cls, issued: Issued, directory: Path, name: str) -> Credentials:
        chain, key = issued.write(directory, name)
        both = directory / f"{name}.pem"
        both.write_text(issued.chain + issued.private_key)
        return cls(issued, chain, key, both)


@dataclass(frozen=True)
class Identities:
    """All of one run. The backend's certificate also has a host name, for proxies that cannot ask for a URI."""

    authority: Authority
    authority_file: Path
    server: Credentials
    """What clients are shown."""
    edge: Credentials
    """What the backend is shown."""
    backend: Credentials

    @classmethod
    def issue(cls, directory: Path) -> Identities:
        authority = Authority("Benchmark")
        return cls(
            authority,
            authority.write(directory / "authority.crt"),
            Credentials.write(authority.issue(HOST), directory, "server"),
            Credentials.write(authority.issue(uris=[EDGE_IDENTITY]), directory, "edge"),
            Credentials.write(authority.issue(BACKEND_HOST, uris=[BACKEND_IDENTITY]), directory, "backend"),
        )
