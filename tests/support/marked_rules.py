"""Rules that tell which of them took a request, and clients that ask."""

from __future__ import annotations

import grpc

from tests.support.clients.raw import RawClient, RawResponse
from tests.support.edge import Edge
from tests.support.manifests import (
    Manifest,
    rule,
)


def mark(value: str) -> Manifest:
    return {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "x-rule", "value": value}]}}


def marked(value: str, *matches: Manifest) -> Manifest:
    return rule("origin", matches=matches, filters=[mark(value)])


def ask(edge: Edge, host: str, target: str = "/", *lines: str, method: str = "GET") -> RawResponse:
    with RawClient(edge.port) as client:
        return client.request(method, target, *lines, host=host)


def rule_of(edge: Edge, host: str, target: str = "/", *lines: str, method: str = "GET") -> str | None:
    answer = ask(edge, host, target, *lines, method=method)
    return answer.report.header("x-rule") if answer.status == 200 else None


def channel(edge: Edge, host: str) -> grpc.Channel:
    options = [("grpc.default_authority", host), ("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
    return grpc.insecure_channel(f"127.0.0.1:{edge.port}", options=options)
