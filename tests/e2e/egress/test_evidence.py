"""Records of decisions: wherever the access log goes, in files of bounded size, and over OTLP."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.support.certificates import Authority
from tests.support.egress import EgressGateway, egress_policy, status_of, ways_out, whole_lines
from tests.support.manifests import gateway_class, write
from tests.support.outside import Outside
from tests.support.ports import free_port
from tests.support.sekisho import sekisho_command
from tests.support.waiting import eventually

POLICY = egress_policy("base", {"name": "ok", "to": [{"names": ["ok.example"], "protocols": ["TCP"]}]})
TRACE = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"traceparent: 00-{TRACE}-b7ad6b7169203331-01\r\n"


def ask(gateway: EgressGateway, target: str, headers: str = "") -> int:
    client, answer = gateway.tunnel(target, headers)
    client.close()
    return status_of(answer)


def records_in(text: str) -> list[dict[str, Any]]:
    lines = [line for line in whole_lines(text) if line.startswith("{")]
    return [record for record in map(json.loads, lines) if record.get("record") == "egress_decision"]


def test_without_an_access_log_records_are_on_standard_output(outside: Outside, tmp_path: Path) -> None:
    with EgressGateway(outside, tmp_path, ways_out(POLICY), access_log="none") as gateway:
        assert ask(gateway, "evil.example:443") == 403

        def told() -> bool:
            found = records_in(gateway.process.output())
            return [record["reason"] for record in found] == ["egress_denied"]

        eventually(told, within=10, what="the record on standard output")


def test_files_are_bounded_in_size_and_number_and_hold_whole_records(outside: Outside, tmp_path: Path) -> None:
    log = tmp_path / "decisions.log"
    options = ("--egress-log", log, "--egress-log-size", "4096", "--egress-log-files", "3")
    with EgressGateway(outside, tmp_path, ways_out(POLICY), access_log="none", options=options) as gateway:
        names = [f"n{number}.evil.example" for number in range(40)]
        assert {ask(gateway, f"{name}:443") for name in names} == {403}

        def last() -> bool:
            return log.exists() and any(record["host"] == names[-1] for record in records_in(log.read_text()))

        eventually(last, within=10, what="the last record")
        assert records_in(gateway.process.output()) == []
    files = sorted(tmp_path.glob("decisions.log*"))
    assert [file.name for file in files] == ["decisions.log", "decisions.log.1", "decisions.log.2"]
    assert all(file.stat().st_size <= 4096 for file in files)
    kept = [record["host"] for file in reversed(files) for record in records_in(file.read_text())]
    # The latest, each once and in order.
    assert kept == names[-len(kept) :]
    assert len(kept) > 10


@contextmanager
def collector(outside: Outside, tls: ssl.SSLContext | None = None) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    received: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            received.append({"path": self.path, "type": self.headers["Content-Type"], "body": body})
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    server = outside.inside.run(lambda: ThreadingHTTPServer(("127.0.0.1", 0), Handler))
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}", received
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=10)


def test_a_collector_gets_every_decision_as_a_log_record(outside: Outside, tmp_path: Path) -> None:
    with (
        collector(outside) as (url, received),
        EgressGateway(outside, tmp_path, ways_out(POLICY), options=("--egress-otlp", url)) as gateway,
    ):
        assert ask(gateway, "ok.example:443", TRACEPARENT) == 200
        assert ask(gateway, "evil.example:443", TRACEPARENT) == 403

        def log_records() -> list[dict[str, Any]]:
            bodies = [one["body"]["resourceLogs"][0]["scopeLogs"][0]["logRecords"] for one in received]
            return [record for records in bodies for record in records if record["eventName"] == "egress_decision"]

        eventually(lambda: any(severity(record) == "WARN" for record in log_records()), within=10)
        assert {(one["path"], one["type"]) for one in received} == {("/v1/logs", "application/json")}
        denied = next(record for record in log_records() if severity(record) == "WARN")
        attributes = {one["key"]: one["value"] for one in denied["attributes"]}
        assert attributes["host"] == {"stringValue": "evil.example"}
        assert attributes["port"] == {"intValue": "443"}
        assert attributes["reason"] == {"stringValue": "egress_denied"}
        assert attributes["policy"] == {"stringValue": "default/base"}
        assert denied["traceId"] == TRACE
        assert json.loads(denied["body"]["stringValue"])["host"] == "evil.example"
        # The access log has them as well.
        gateway.decision(host="evil.example", reason="egress_denied")


def hosts_in(received: list[dict[str, Any]]) -> set[str]:
    bodies = [one["body"]["resourceLogs"][0]["scopeLogs"][0]["logRecords"] for one in received]
    return {json.loads(record["body"]["stringValue"])["host"] for records in bodies for record in records}


def lost(gateway: EgressGateway) -> int:
    [line] = [
        line for line in gateway.admin("/metrics").splitlines() if line.startswith("sekisho_log_lines_lost_total ")
    ]
    return int(float(line.split()[1]))


def test_a_collector_over_tls_is_verified_and_shown_who_asks(outside: Outside, tmp_path: Path) -> None:
    authority, clients = Authority("Collectors"), Authority("Clients")
    context = authority.issue("127.0.0.1").server_context(tmp_path)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=clients.pem)
    certificate, key = clients.issue("gateway").write(tmp_path, "client")
    with collector(outside, context) as (url, received):
        options: list[str | Path] = ["--egress-otlp", url, "--egress-otlp-ca", authority.write(tmp_path / "ca.crt")]
        options += ["--egress-otlp-certificate", certificate, "--egress-otlp-key", key]
        with EgressGateway(outside, tmp_path, ways_out(POLICY), options=options) as gateway:
            assert ask(gateway, "ok.example:443") == 200
            eventually(lambda: "ok.example" in hosts_in(received), within=10, what="the record")
            assert lost(gateway) == 0


def test_a_collector_that_does_not_verify_gets_nothing_and_holds_nothing_up(outside: Outside, tmp_path: Path) -> None:
    authority, stranger = Authority("Collectors"), Authority("Strangers")
    named_otherwise = authority.issue("otel.example").server_context(tmp_path)
    with collector(outside, named_otherwise) as (url, received):
        trusted = authority.write(tmp_path / "ca.crt")
        options = ("--egress-otlp", url, "--egress-otlp-ca", trusted)
        with EgressGateway(outside, tmp_path, ways_out(POLICY), options=options) as gateway:
            assert ask(gateway, "evil.example:443") == 403
            eventually(lambda: lost(gateway) > 0, within=20, what="the record is counted as lost")
            assert "does not cover 127.0.0.1; it is for otel.example" in gateway.process.output()
            # Of another authority now, which the file then names: it is read again.
            named_otherwise.load_cert_chain(*stranger.issue("127.0.0.1").write(tmp_path, "stranger"))
            assert ask(gateway, "evil.example:443") == 403
            before = lost(gateway)
            eventually(lambda: lost(gateway) > before, within=20, what="the second is lost as well")
            assert received == []
            stranger.write(trusted)
            eventually(
                lambda: ask(gateway, "ok.example:443") == 200 and "ok.example" in hosts_in(received),
                within=20,
                what="a record of the collector that verifies",
            )
            gateway.decision(host="evil.example", reason="egress_denied")


def test_a_collector_that_says_nothing_holds_up_neither_requests_nor_the_end(outside: Outside, tmp_path: Path) -> None:
    listener = outside.inside.run(lambda: socket.create_server(("127.0.0.1", 0)))
    authority = Authority("Collectors")
    url = f"https://127.0.0.1:{listener.getsockname()[1]}"
    options = ("--egress-otlp", url, "--egress-otlp-ca", authority.write(tmp_path / "ca.crt"))
    with listener:
        with EgressGateway(outside, tmp_path, ways_out(POLICY), options=options) as gateway:
            began = time.monotonic()
            assert {ask(gateway, f"n{number}.evil.example:443") for number in range(30)} == {403}
            assert time.monotonic() - began < 5
            gateway.decision(host="n29.evil.example", reason="egress_denied")
            ended = time.monotonic()
        assert time.monotonic() - ended < 10


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--egress-otlp", "https://otel:4318", "--egress-otlp-ca", "/nowhere/ca.crt"), "/nowhere/ca.crt"),
        (("--egress-otlp", "http://otel:4318", "--egress-otlp-ca", "/nowhere/ca.crt"), "in the clear"),
        (("--egress-otlp", "https://otel:4318", "--egress-otlp-key", "/nowhere/tls.key"), "needs its key"),
        (("--egress-otlp", "otel:4318"), "is not of the form http://HOST:PORT"),
        (("--egress-dns-ca", "/nowhere/dns.crt"), "/nowhere/dns.crt"),
    ],
)
def test_collectors_and_files_that_cannot_be_are_said_at_the_start(
    tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    write(tmp_path / "main.yaml", [gateway_class()])
    up = sekisho_command("up", "-f", tmp_path, "--admin", f"127.0.0.1:{free_port()}", *options)
    done = subprocess.run(up, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode in (1, 2)
    assert message in done.stderr


def severity(record: dict[str, Any]) -> str:
    return str(record["severityText"])


def test_a_collector_that_is_not_there_holds_nothing_up(outside: Outside, tmp_path: Path) -> None:
    options = ("--egress-otlp", "http://127.0.0.1:9")
    with EgressGateway(outside, tmp_path, ways_out(POLICY), options=options) as gateway:
        assert [ask(gateway, "evil.example:443") for _ in range(20)] == [403] * 20
        gateway.decision(host="evil.example", reason="egress_denied")

        def lost() -> bool:
            metrics = gateway.admin("/metrics").splitlines()
            return any(
                line.startswith("sekisho_log_lines_lost_total") and not line.endswith(" 0.0") for line in metrics
            )

        eventually(lost, within=20, what="records that were lost are counted")
