"""Tokens of requests, with real clients, real keys and a real issuer's server: who gets in, and what goes on."""

from __future__ import annotations

import base64
import functools
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.backends.http1 import Http1Backend
from tests.support.clients.curl import CurlResult, curl
from tests.support.key_server import KeyServer
from tests.support.manifests import (
    Manifest,
    backend,
    gateway,
    gateway_class,
    http_listener,
    http_route,
    manifest,
    rule,
)
from tests.support.ports import free_port
from tests.support.sekisho import Sekisho, run_sekisho
from tests.support.tokens import Issuer, SigningKey, hmac_token
from tests.support.waiting import eventually

HOST = "web.example.com"
ISSUER = Issuer()
FETCH_SECONDS = 20.0


def tokens(name: str, *rules: Manifest, **spec: Any) -> Manifest:
    spec = {"jwtRules": list(rules), **spec}
    return manifest("security.istio.io/v1", "RequestAuthentication", name, spec=spec)


def given(issuer: Issuer = ISSUER, **fields: Any) -> Manifest:
    return {"issuer": issuer.name, "jwks": issuer.jwks(), **fields}


def allow(name: str, **parts: Any) -> Manifest:
    return manifest("security.istio.io/v1", "AuthorizationPolicy", name, spec={"action": "ALLOW", "rules": [parts]})


SIGNED_IN = allow("signed-in", **{"from": [{"source": {"requestPrincipals": ["*"]}}]})


@dataclass
class Checkpoint:
    sekisho: Sekisho
    port: int
    count: int = 0

    def enforce(self, *policies: Manifest) -> None:
        """Serve with these policies and no others."""
        self.count += 1
        marker = allow(f"marker-{self.count}", to=[{"operation": {"paths": ["/never"]}}])
        marker["spec"]["action"] = "AUDIT"
        self.sekisho.change([marker, *policies], "policies")

    def get(self, path: str = "/", *arguments: str | Path, token: str | None = None) -> CurlResult:
        bearer = ("-H", f"Authorization: Bearer {token}") if token is not None else ()
        to = f"::127.0.0.1:{self.port}"
        return curl(f"http://{HOST}{path}", "--connect-to", to, *bearer, *arguments)


@pytest.fixture(scope="module")
def checkpoint(directory: Path) -> Iterator[Checkpoint]:
    port = free_port()
    with Http1Backend("origin") as origin:
        sekisho = Sekisho(directory)
        sekisho.write(
            [
                gateway_class(),
                gateway(http_listener(port)),
                *backend("origin", origin.port),
                http_route("web", rule("origin"), hosts=[HOST]),
            ]
        )
        with sekisho:
            yield Checkpoint(sekisho, port)


# --- who gets in ----------------------------------------------------------------------------------------


def test_a_good_token_or_none_passes_and_a_bad_one_is_challenged(checkpoint: Checkpoint) -> None:
    checkpoint.enforce(tokens("one", given()))
    assert checkpoint.get(token=ISSUER.token()).status == 200
    assert checkpoint.get().status == 200
    assert checkpoint.get("/", "-u", "ann:secret").status == 200
    expired = checkpoint.get(token=ISSUER.token(exp=int(time.time()) - 300))
    assert expired.status == 401
    assert expired.body == b"token_expired: the token has expired\n"
    challenge = expired.header("www-authenticate")
    assert challenge == 'Bearer error="invalid_token", error_description="the token has expired"'


def test_only_those_with_a_token_are_let_in_where_a_policy_asks_for_one(checkpoint: Checkpoint) -> None:
    checkpoint.enforce(tokens("one", given()), SIGNED_IN)
    assert checkpoint.get(token=ISSUER.token()).status == 200
    assert checkpoint.get().status == 403
    assert checkpoint.get(token=Issuer("https://mallory.example").token()).status == 401


def test_claims_decide_nested_and_in_lists(checkpoint: Checkpoint) -> None:
    in_group = allow("group", when=[{"key": "request.auth.claims[realm][groups]", "values": ["admins"]}])
    checkpoint.enforce(tokens("one", given()), in_group)
    assert checkpoint.get(token=ISSUER.token(realm={"groups": ["users", "admins"]})).status == 200
    assert checkpoint.get(token=ISSUER.token(realm={"groups": ["users"]})).status == 403
    assert checkpoint.get(token=ISSUER.token(groups=["admins"])).status == 403


def test_forged_tokens_are_refused(checkpoint: Checkpoint) -> None:
    issuer = Issuer(keys=[SigningKey.make("RS256")])
    checkpoint.enforce(tokens("one", given(issuer, audiences=["shop"])))
    assert checkpoint.get(token=issuer.token(aud="shop")).status == 200
    assert checkpoint.get(token=issuer.token(aud="bank")).status == 403
    head, payload, _ = issuer.token(aud="shop").split(".")
    nothing = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()
    for forged in (
        f"{nothing}.{payload}.",
        f"{head}.{payload}.",
        hmac_token(issuer, issuer.keys[0].public_pem()),
        issuer.token(key=SigningKey.make("RS256"), aud="shop"),
        issuer.token(key=SigningKey.make(), header={"jwk": SigningKey.make().public()}, aud="shop"),
        issuer.token(aud="shop", iss="https://mallory.example"),
        issuer.token(aud="shop", padding="x" * 20_000),
    ):
        assert checkpoint.get(token=forged).status == 401, forged[:80]


def test_two_authorization_headers_are_refused(checkpoint: Checkpoint) -> None:
    checkpoint.enforce(tokens("one", given()))
    bad = Issuer(ISSUER.name).token()
    for pair in ([ISSUER.token(), bad], [bad, ISSUER.token()]):
        arguments = [part for token in pair for part in ("-H", f"Authorization: Bearer {token}")]
        assert checkpoint.get("/", *arguments).status == 401


def test_a_policy_with_an_unknown_field_refuses_everything_and_says_so(checkpoint: Checkpoint) -> None:
    checkpoint.enforce(tokens("sundays", given(onlyOnSundays=True)))
    for result in (checkpoint.get(), checkpoint.get(token=ISSUER.token())):
        assert result.status == 403
        assert result.body.startswith(b"authentication_unavailable")
    problems = [problem["message"] for problem in checkpoint.sekisho.status()["problems"]]
    assert any("onlyOnSundays" in message and "every request" in message for message in problems), problems
    checked = run_sekisho("check", "-f", checkpoint.sekisho.manifests)
    assert "onlyOnSundays" in checked.stdout + checked.stderr


# --- what goes on to the backend --------------------------------------------------------------------------


def test_claims_reach_the_backend_and_a_client_cannot_write_them(checkpoint: Checkpoint) -> None:
    outputs = [{"header": "x-user", "claim": "sub"}, {"header": "x-role", "claim": "realm.role"}]
    checkpoint.enforce(tokens("one", given(outputClaimToHeaders=outputs, outputPayloadToHeader="x-payload")))
    spoofed = ("-H", "x-user: root", "-H", "X-Role: root", "-H", "x_role: root", "-H", "x-payload: root")
    anonymous = checkpoint.get("/", *spoofed).report
    assert [anonymous.header(name) for name in ("x-user", "x-role", "x_role", "x-payload")] == [None] * 4
    signed_in = checkpoint.get("/", *spoofed, token=ISSUER.token(realm={"role": "admin"})).report
    assert (signed_in.header("x-user"), signed_in.header("x-role")) == ("alice", "admin")
    payload = signed_in.header("x-payload") or ""
    assert json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["sub"] == "alice"
    without = checkpoint.get("/", *spoofed, token=ISSUER.token()).report
    assert (without.header("x-user"), without.header("x-role")) == ("alice", None)


def test_the_token_itself_goes_on_only_where_it_is_wanted(checkpoint: Checkpoint) -> None:
    checkpoint.enforce(tokens("one", given()))
    token = ISSUER.token()
    assert checkpoint.get(token=token).report.header("authorization") is None
    in_query = checkpoint.get(f"/a?x=1&access_token={token}&y=2").report
    assert in_query.target == "/a?x=1&y=2"
    checkpoint.enforce(tokens("one", given(forwardOriginalToken=True)))
    assert checkpoint.get(token=token).report.header("authorization") == f"Bearer {token}"


def test_other_places_of_a_token(checkpoint: Checkpoint) -> None:
    places = given(fromHeaders=[{"name": "X-Token", "prefix": "JWT "}], fromCookies=["session"], fromParams=["t"])
    checkpoint.enforce(tokens("one", places), SIGNED_IN)
    token = ISSUER.token()
    assert checkpoint.get("/", "-H", f"x-token: JWT {token}").status == 200
    assert checkpoint.get(f"/?t={token}").status == 200
    assert checkpoint.get(token=token).status == 403
    kept = checkpoint.get("/", "-H", f"cookie: a=b; session={token}").report
    assert kept.header("cookie") == "a=b"


# --- what is told ---------------------------------------------------------------------------------------


def test_explain_log_and_metrics_tell_why(checkpoint: Checkpoint) -> None:
    checkpoint.enforce(tokens("one", given()), SIGNED_IN)
    expired = ISSUER.token(exp=1)
    explained = checkpoint.sekisho.explain(
        f"http://{HOST}:{checkpoint.port}/", headers=[("authorization", f"Bearer {expired}")]
    )
    assert (explained["status"], explained["code"]) == (401, "token_expired")
    assert explained["authentication"]["rule"] == "default/one/0"
    good = checkpoint.sekisho.explain(
        f"http://{HOST}:{checkpoint.port}/", headers=[("authorization", f"Bearer {ISSUER.token()}")]
    )
    assert good["decision"] == "route"
    assert good["authentication"]["principal"] == f"{ISSUER.name}/alice"
    url = f"http://{HOST}:{checkpoint.port}/"
    told = run_sekisho(
        "explain", "-f", checkpoint.sekisho.manifests, "-H", f"Authorization: Bearer {expired}", "GET", url
    )
    assert "the token has expired" in told.stdout
    assert expired not in told.stdout
    refused = {"policy": "default/one", "effect": "token_refused"}
    metric = "sekisho_authorization_decisions_total"
    before = checkpoint.sekisho.metric(metric, **refused)
    assert checkpoint.get("/told", token=expired).status == 401
    record = checkpoint.sekisho.logged(lambda record: record["path"] == "/told")
    assert record["response_code_details"] == "token_expired[default/one/0]"
    eventually(lambda: checkpoint.sekisho.metric(metric, **refused) == before + 1, what="the counter")


def shows(path: str, record: dict[str, Any]) -> bool:
    return bool(record["path"] == path)


def test_the_log_shows_that_a_query_had_a_token_and_not_which(checkpoint: Checkpoint) -> None:
    for forwarded in (False, True):
        checkpoint.enforce(tokens("one", given(audiences=["shop"], forwardOriginalToken=forwarded)))
        for audience, status in (("shop", 200), ("bank", 403)):
            token, path = ISSUER.token(aud=audience), f"/logged-{audience}-{forwarded}"
            assert checkpoint.get(f"{path}?x=1&access_token={token}&y=2").status == status
            shown = f"{path}?x=1&access_token=***&y=2"
            record = checkpoint.sekisho.logged(functools.partial(shows, shown))
            assert record["response_code"] == status


# --- keys from elsewhere ----------------------------------------------------------------------------------


def test_keys_are_fetched_and_their_rotation_followed(checkpoint: Checkpoint) -> None:
    issuer = Issuer("https://fetched.example")
    with KeyServer(issuer) as server:
        checkpoint.enforce(tokens("one", {"issuer": issuer.name, "jwksUri": server.url}))
        eventually(lambda: checkpoint.get(token=issuer.token()).status == 200, within=FETCH_SECONDS)
        old = issuer.token()
        issuer.keys.insert(0, SigningKey.make(kid="two"))
        assert checkpoint.get(token=issuer.token()).status == 401
        eventually(lambda: checkpoint.get(token=issuer.token()).status == 200, within=FETCH_SECONDS)
        assert checkpoint.get(token=old).status == 200
        del issuer.keys[1]
        eventually(lambda: checkpoint.get(token=old).status == 401, within=FETCH_SECONDS)


def test_an_issuer_is_asked_where_its_keys_are(checkpoint: Checkpoint) -> None:
    issuer = Issuer()
    with KeyServer(issuer) as server:
        issuer.name = server.address
        checkpoint.enforce(tokens("one", {"issuer": issuer.name}))
        eventually(lambda: checkpoint.get(token=issuer.token()).status == 200, within=FETCH_SECONDS)


@pytest.mark.parametrize("behaviour", ["error", "garbage", "huge", "redirect"])
def test_keys_from_before_stay_while_their_server_misbehaves(checkpoint: Checkpoint, behaviour: str) -> None:
    issuer = Issuer(f"https://{behaviour}.example")
    with KeyServer(issuer) as server:
        checkpoint.enforce(tokens("one", {"issuer": issuer.name, "jwksUri": server.url}))
        eventually(lambda: checkpoint.get(token=issuer.token()).status == 200, within=FETCH_SECONDS)
        server.behaviour = behaviour
        asked = server.asked
        eventually(lambda: server.asked > asked + 1, within=FETCH_SECONDS)
        assert checkpoint.get(token=issuer.token()).status == 200
        problems = [problem["message"] for problem in checkpoint.sekisho.status()["problems"]]
        assert any("the keys from before count" in message for message in problems), problems


@pytest.mark.parametrize("behaviour", ["error", "slow"])
def test_until_keys_are_there_tokens_are_refused_and_those_without_one_served(
    checkpoint: Checkpoint, behaviour: str
) -> None:
    issuer = Issuer(f"https://never-{behaviour}.example")
    with KeyServer(issuer) as server:
        server.behaviour = behaviour
        checkpoint.enforce(tokens("one", {"issuer": issuer.name, "jwksUri": server.url}))
        eventually(lambda: server.asked, within=FETCH_SECONDS)
        refused = checkpoint.get(token=issuer.token())
        assert refused.status == 401
        assert refused.body.startswith(b"token_keys_unavailable")
        assert checkpoint.get().status == 200
        server.behaviour = "good"
        eventually(lambda: checkpoint.get(token=issuer.token()).status == 200, within=FETCH_SECONDS)
