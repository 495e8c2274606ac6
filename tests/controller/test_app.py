"""`sekisho up` as a process: what it says, how it changes, how it ends."""

from __future__ import annotations

import json
import signal
import socket
import stat
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.support.ports import free_port
from tests.support.sekisho import sekisho_command
from tests.support.waiting import eventually

MANIFEST = """\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: edge}}
spec:
  gatewayClassName: sekisho
  listeners: [{{name: http, port: {port}, protocol: HTTP}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: shop}}
spec:
  parentRefs: [{{name: edge}}]
  rules:
    - filters: [{{type: RequestRedirect, requestRedirect: {{hostname: {target}, statusCode: 301}}}}]
"""
SILENT = """\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: edge}}
spec:
  gatewayClassName: sekisho
  listeners: [{{name: http, port: {port}, protocol: HTTP}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: shop}}
spec:
  parentRefs: [{{name: edge}}]
  rules: [{{backendRefs: [{{name: silent, port: {backend}}}]}}]
---
apiVersion: v1
kind: Service
metadata: {{name: silent}}
spec: {{type: ExternalName, externalName: localhost, ports: [{{port: {backend}}}]}}
"""


class Up:
    """A running `sekisho up`, and everything it has written."""

    def __init__(self, directory: Path, port: int, *arguments: str) -> None:
        self.port = port
        self.admin = free_port()
        self.manifest = directory / "shop.yaml"
        self.write("one.example")
        command = sekisho_command("up", "-f", self.manifest, "--admin", f"127.0.0.1:{self.admin}", *arguments)
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def write(self, target: str) -> None:
        self.manifest.write_text(MANIFEST.format(port=self.port, target=target))

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def said(self, text: str) -> str:
        return eventually(lambda: next((line for line in self.lines if text in line), ""), within=10, what=text)

    def location(self) -> str:
        answer = httpx.get(f"http://127.0.0.1:{self.port}/", trust_env=False)
        return httpx.URL(answer.headers["location"]).host

    def get(self, path: str) -> httpx.Response:
        return httpx.get(f"http://127.0.0.1:{self.admin}{path}", trust_env=False)

    def end(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        self._reader.join(5)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return status


@contextmanager
def up(directory: Path, *arguments: str, port: int = 0) -> Iterator[Up]:
    running = Up(directory, port or free_port(), *arguments)
    try:
        running.said("watching")
        yield running
    finally:
        running.end()


def test_it_says_what_it_serves_and_each_change_is_one_line(tmp_path: Path) -> None:
    with up(tmp_path, "--access-log", "none") as running:
        assert (
            running.said("listening on")
            == f"listening on http://127.0.0.1:{running.port} for every host (default/edge/http)"
        )
        assert running.said("try:") == f"try: curl http://127.0.0.1:{running.port}/"
        assert running.location() == "one.example"

        running.write("two.example")
        line = running.said("reloaded")
        assert line.startswith("reloaded shop.yaml: ~1 route, v2, ")
        assert running.location() == "two.example"

        running.manifest.write_text("kind: [oops")
        assert "shop.yaml:1" in running.said("error:")
        assert running.location() == "two.example"
        assert running.get("/status").json()["problems"]


def test_the_admin_endpoint_tells_what_the_process_serves(tmp_path: Path) -> None:
    with up(tmp_path, "--access-log", "none") as running:
        assert running.get("/healthz/ready").json()["ready"] is True
        status = running.get("/status").json()
        assert status["gateways"] == [{"name": "standalone", "version": "1", "wanted": "1"}]
        (gateway,) = [item for item in status["objects"] if item["kind"] == "Gateway"]
        assert {item["type"]: item["status"] for item in gateway["conditions"]}["Programmed"] == "True"
        running.location()
        assert "istio_requests_total{" in running.get("/metrics").text
        explained = httpx.post(
            f"http://127.0.0.1:{running.admin}/explain",
            json={"url": f"http://127.0.0.1:{running.port}/"},
            trust_env=False,
        ).json()
        assert explained["source"] == f"{running.manifest}:8"
        assert "Sekisho" in running.get("/").text


def test_the_access_log_goes_where_it_is_told(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    with up(tmp_path, "--access-log", str(log)) as running:
        running.location()
        record = json.loads(eventually(lambda: log.read_text().strip()))
        assert record["response_code_details"] == "redirect"


def test_a_taken_port_is_named_and_served_once_it_is_free(tmp_path: Path) -> None:
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        port = stranger.getsockname()[1]
        with up(tmp_path, "--access-log", "none", port=port) as running:
            assert f"127.0.0.1:{port}" in running.said("NOT listening")
            assert "--port-offset" in running.said("error:")
            assert running.get("/healthz/ready").status_code == 200
            stranger.close()
            running.said("now listening")
            assert running.location() == "one.example"
            assert running.get("/status").json().get("problems", []) == []


def test_the_last_table_is_served_before_the_manifests_are_read(tmp_path: Path) -> None:
    state = tmp_path / "state"
    port = free_port()
    with up(tmp_path, "--access-log", "none", "--state-dir", str(state), port=port):
        pass
    assert stat.S_IMODE((state / "table.json").stat().st_mode) == 0o600
    with up(tmp_path, "--access-log", "none", "--state-dir", str(state), port=port) as running:
        running.manifest.write_text("kind: [oops")
        running.said("error:")
        assert running.location() == "one.example"
        assert int(running.get("/healthz/ready").json()["version"]) == 2


def test_a_state_directory_below_a_watched_folder_is_not_read_as_manifests(tmp_path: Path) -> None:
    arguments = ("-f", str(tmp_path), "--access-log", "none", "--state-dir", str(tmp_path / "state"))
    with up(tmp_path, *arguments):
        pass
    assert (tmp_path / "state" / "table.json").exists()
    with up(tmp_path, *arguments) as running:
        assert running.get("/status").json().get("problems", []) == []


def test_a_damaged_state_file_is_said_and_the_manifests_are_served(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    (state / "table.json").write_text("damaged")
    with up(tmp_path, "--access-log", "none", "--state-dir", str(state)) as running:
        assert "starting empty" in running.said("damaged")
        assert running.location() == "one.example"


def test_a_signal_drains_and_a_second_one_ends_at_once(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        running = Up(tmp_path, free_port(), "--access-log", "none", "--drain-timeout", "60")
        running.said("watching")
        running.manifest.write_text(SILENT.format(port=running.port, backend=silent.getsockname()[1]))
        running.said("reloaded")
        with socket.create_connection(("127.0.0.1", running.port)) as client:
            client.sendall(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            waiting, _ = silent.accept()
            running.process.send_signal(signal.SIGTERM)
            running.said("draining 1 connection for at most 60 s")
            assert running.get("/healthz/ready").json()["draining"] is True
            began = time.monotonic()
            running.process.send_signal(signal.SIGTERM)
            assert running.process.wait(5) == 1
            assert time.monotonic() - began < 3
        waiting.close()
    assert running.said("stopped at once")
    assert running.end() == 1


def test_without_connections_it_ends_at_once_and_well(tmp_path: Path) -> None:
    running = Up(tmp_path, free_port(), "--access-log", "none")
    running.said("watching")
    began = time.monotonic()
    assert running.end() == 0
    assert time.monotonic() - began < 3
    assert running.lines[-1] == "stopped"


def test_two_gateways_on_one_admin_address_are_told_apart(tmp_path: Path) -> None:
    with up(tmp_path, "--access-log", "none") as running:
        command = sekisho_command("up", "-f", running.manifest, "--admin", f"127.0.0.1:{running.admin}")
        second = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
        assert second.returncode == 1
        assert "another process listens there" in second.stderr
        assert "--admin" in second.stderr
        assert "Traceback" not in second.stderr
