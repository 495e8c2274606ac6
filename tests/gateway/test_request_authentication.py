"""Tokens as the engine proves them, with real signatures: which count, which do not, and what is said of each."""

from __future__ import annotations

import json
import time
from typing import Any

import msgspec
import pytest

from gateway.agent.compiled import explain_offline
from gateway.routing_table import wire
from gateway.routing_table.model import (
    Attachment,
    AuthorizationCondition,
    AuthorizationPolicy,
    AuthorizationRule,
    AuthorizationSource,
    Backend,
    ClaimHeader,
    Endpoint,
    Endpoints,
    Gateway,
    Listener,
    Match,
    RequestAuthentication,
    Resources,
    Route,
    Snapshot,
    TokenHeader,
    TokenRule,
    ValueMatch,
    WeightedBackend,
)
from tests.support.tokens import ALGORITHMS, Issuer, SigningKey, base64url, hmac_token, unsigned

ISSUER = Issuer()
POLICY = "shop/tokens"


def rule(issuer: Issuer = ISSUER, **fields: Any) -> TokenRule:
    return msgspec.structs.replace(TokenRule(issuer=issuer.name, keys=issuer.jwks()), **fields)


def route(name: str, *matches: Match) -> Route:
    return Route(
        key=f"HTTPRoute/shop/{name}/0",
        kind="HTTPRoute",
        object=f"shop/{name}",
        rule=0,
        attachments=(Attachment(listener="shop/edge/http", hostnames=("*",)),),
        matches=matches,
        backends=(WeightedBackend(backend="Service/shop/web/80"),),
    )


def table(*rules: TokenRule, policies: tuple[AuthorizationPolicy, ...] = (), **fields: Any) -> bytes:
    listener = Listener(
        key="shop/edge/http",
        gateway="shop/edge",
        address="127.0.0.1",
        port=80,
        bind_port=8080,
        protocol="HTTP",
        authentication=(POLICY,),
        authorization=tuple(policy.key for policy in policies),
    )
    resources = Resources(
        gateways=(Gateway(key="shop/edge"),),
        listeners=(listener,),
        request_authentications=(RequestAuthentication(key=POLICY, rules=rules, **fields),),
        authorization_policies=policies,
        backends=(Backend(key="Service/shop/web/80"),),
        endpoints=(Endpoints(key="Service/shop/web/80", endpoints=(Endpoint(address="127.0.0.1", port=9),)),),
        routes=(
            route("web", Match()),
            route("admin", Match(headers=(ValueMatch(name="x-role", value="admin"),))),
        ),
    )
    return wire.encode(Snapshot(version="1", resources=resources))


def ask(snapshot: bytes, *headers: tuple[str, str], path: str = "/") -> dict[str, Any]:
    question = {"method": "GET", "url": f"http://shop.example{path}", "headers": headers}
    answer: dict[str, Any] = json.loads(explain_offline(snapshot, json.dumps(question).encode()))
    return answer


def verdict(snapshot: bytes, *tokens: str) -> tuple[int | None, str]:
    """Status and code of a request with these tokens; no status where it is routed."""
    answer = ask(snapshot, *(("authorization", f"Bearer {token}") for token in tokens))
    return (answer["status"], answer["code"]) if answer["decision"] == "denied" else (None, answer["decision"])


PASSES = (None, "route")


# --- what proves a token ------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_good_token_of_every_algorithm_counts(algorithm: str) -> None:
    issuer = Issuer(keys=[SigningKey.make(algorithm)])
    answer = ask(table(rule(issuer)), ("authorization", f"Bearer {issuer.token()}"))
    assert answer["authentication"] == {
        "accepted": True,
        "reason": "the token is proved",
        "principal": "https://issuer.example/alice",
        "rule": None,
    }
    assert answer["decision"] == "route"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_token_of_which_one_bit_is_another_does_not_count(algorithm: str) -> None:
    issuer = Issuer(keys=[SigningKey.make(algorithm)])
    head, payload, signature = issuer.token().split(".")
    claims = issuer.claims(sub="mallory")
    forged = f"{head}.{base64url(json.dumps(claims).encode())}.{signature}"
    assert verdict(table(rule(issuer)), forged) == (401, "token_unverified")
    broken = signature[:-4] + ("AAAA" if not signature.endswith("AAAA") else "BBBB")
    assert verdict(table(rule(issuer)), f"{head}.{payload}.{broken}") == (401, "token_unverified")


def test_a_request_without_a_token_passes_and_has_no_principal() -> None:
    answer = ask(table(rule()))
    assert answer["decision"] == "route"
    assert answer["authentication"]["principal"] is None


@pytest.mark.parametrize(
    ("claims", "want"),
    [
        ({"exp": -120}, (401, "token_expired")),
        ({"exp": -20}, PASSES),
        ({"exp": None}, PASSES),
        ({"exp": "tomorrow"}, (401, "token_malformed")),
        ({"nbf": 300}, (401, "token_not_yet_valid")),
        ({"nbf": 20}, PASSES),
        ({"iss": "https://another.example"}, (401, "token_issuer_unknown")),
        ({"iss": None}, (401, "token_issuer_unknown")),
        ({"iss": "https://issuer.example/"}, (401, "token_issuer_unknown")),
    ],
)
def test_times_and_issuer_decide(claims: dict[str, Any], want: tuple[int | None, str]) -> None:
    """Numbers are seconds from now."""
    now = int(time.time())
    claims = {name: now + value if isinstance(value, int) else value for name, value in claims.items()}
    assert verdict(table(rule()), ISSUER.token(**claims)) == want


@pytest.mark.parametrize(
    ("audience", "want"),
    [
        ("shop", PASSES),
        (["else", "shop"], PASSES),
        ("bank", (403, "token_audience")),
        (["shop.example"], (403, "token_audience")),
        (None, (403, "token_audience")),
        ({"shop": 1}, (403, "token_audience")),
    ],
)
def test_a_token_for_another_audience_is_refused(audience: object, want: tuple[int | None, str]) -> None:
    assert verdict(table(rule(audiences=("shop", "cart"))), ISSUER.token(aud=audience)) == want


# --- attacks --------------------------------------------------------------------------------------------


def test_a_token_without_signature_does_not_count() -> None:
    for algorithm in ("none", "None", "NONE", ""):
        signed = unsigned({"alg": algorithm}, ISSUER.claims())
        assert verdict(table(rule()), f"{signed}.") == (401, "token_unverified")


def test_a_public_key_is_no_secret_for_hmac() -> None:
    issuer = Issuer(keys=[SigningKey.make("RS256")])
    snapshot = table(rule(issuer))
    for secret in (issuer.keys[0].public_pem(), issuer.jwks().encode(), b""):
        assert verdict(snapshot, hmac_token(issuer, secret)) == (401, "token_unverified")


def test_a_symmetric_key_in_a_set_is_no_key() -> None:
    secret = {"kty": "oct", "kid": "one", "k": base64url(b"secret"), "alg": "HS256"}
    snapshot = table(rule(keys=json.dumps({"keys": [secret]})))
    assert verdict(snapshot, hmac_token(ISSUER, b"secret")) == (401, "token_keys_unavailable")


def test_a_key_that_the_token_brings_along_is_not_believed() -> None:
    mallory = SigningKey.make()
    for header in (
        {"jwk": mallory.public()},
        {"jku": "http://127.0.0.1:1/keys"},
        {"x5u": "http://127.0.0.1:1/cert"},
        {"kid": "../../../../dev/null"},
        {"kid": "one' UNION SELECT 'secret"},
        {"kid": "two"},
    ):
        token = ISSUER.token(key=mallory, header=header)
        assert verdict(table(rule()), token) == (401, "token_unverified"), header


def test_a_token_of_another_algorithm_than_its_key_s_does_not_count() -> None:
    key = SigningKey.make("RS256")
    only_pss = {**key.public(), "alg": "PS256"}
    issuer = Issuer(keys=[key])
    snapshot = table(rule(issuer, keys=json.dumps({"keys": [only_pss]})))
    assert verdict(snapshot, issuer.token()) == (401, "token_unverified")
    assert verdict(table(rule(issuer)), issuer.token(header={"alg": "ES256"})) == (401, "token_unverified")


def test_the_key_is_chosen_by_its_name() -> None:
    old, new, nameless = SigningKey.make(kid="old"), SigningKey.make(kid="new"), SigningKey.make(kid=None)
    issuer = Issuer(keys=[old, new])
    snapshot = table(rule(issuer))
    assert verdict(snapshot, issuer.token(key=new)) == PASSES
    assert verdict(snapshot, issuer.token(key=new, header={"kid": "old"})) == (401, "token_unverified")
    assert verdict(snapshot, Issuer(keys=[nameless]).token()) == (401, "token_unverified")
    assert verdict(table(rule(Issuer(keys=[old, nameless]))), issuer.token(key=nameless)) == PASSES


def test_extensions_that_must_be_understood_are_not() -> None:
    token = ISSUER.token(header={"crit": ["b64"], "b64": False})
    assert verdict(table(rule()), token) == (401, "token_malformed")


def test_a_huge_token_and_what_is_none_are_refused() -> None:
    snapshot = table(rule())
    assert verdict(snapshot, ISSUER.token(padding="x" * 20_000)) == (401, "token_malformed")
    for text in ("x", "a.b.c", "..", "null.null.null", ISSUER.token() + ".x", ISSUER.token() + "="):
        assert verdict(snapshot, text) == (401, "token_malformed"), text


def test_two_authorization_headers_are_refused_whichever_is_good() -> None:
    snapshot = table(rule())
    good = ISSUER.token()
    assert verdict(snapshot, good, good) == (401, "token_malformed")
    answer = ask(snapshot, ("authorization", "Basic dTpw"), ("authorization", f"Bearer {good}"))
    assert answer["code"] == "token_malformed"


def test_a_policy_without_its_keys_refuses_tokens_and_passes_those_without() -> None:
    for keys in ("", "{}", "not json", json.dumps({"keys": []})):
        snapshot = table(rule(keys=keys))
        assert verdict(snapshot, ISSUER.token()) == (401, "token_keys_unavailable"), keys
        assert verdict(snapshot) == PASSES


def test_a_policy_that_was_refused_refuses_every_request() -> None:
    assert verdict(table(refusal="not understood")) == (403, "authentication_unavailable")
    assert verdict(table(refusal="not understood"), ISSUER.token()) == (403, "authentication_unavailable")


# --- where tokens are, and what goes on -------------------------------------------------------------------


def test_tokens_are_looked_for_where_the_rule_says() -> None:
    header = table(rule(from_headers=(TokenHeader(name="x-token", prefix="JWT "),)))
    token, bad = ISSUER.token(), ISSUER.token(exp=1)
    assert ask(header, ("x-token", f"JWT {bad}"))["code"] == "token_expired"
    assert ask(header, ("x-token", f"JWT {token}"))["authentication"]["principal"]
    assert ask(header, ("x-token", token))["authentication"]["principal"] is None
    assert ask(header, ("authorization", f"Bearer {bad}"))["decision"] == "route"
    assert ask(table(rule(from_params=("t",))), path=f"/?t={bad}")["code"] == "token_expired"
    assert ask(table(rule(from_cookies=("session",))), ("cookie", f"a=b; session={bad}"))["code"] == "token_expired"
    assert ask(table(rule()), path=f"/?access_token={bad}")["code"] == "token_expired"


def test_tokens_of_several_issuers_each_have_their_keys() -> None:
    other = Issuer("https://other.example")
    snapshot = table(rule(), rule(other))
    assert verdict(snapshot, ISSUER.token()) == PASSES
    assert verdict(snapshot, other.token()) == PASSES
    assert verdict(snapshot, other.token(iss=ISSUER.name)) == (401, "token_unverified")
    assert verdict(snapshot, ISSUER.token(iss=other.name)) == (401, "token_unverified")


def test_a_route_is_chosen_by_a_claim_and_never_by_a_client_s_header() -> None:
    snapshot = table(rule(output_claim_to_headers=(ClaimHeader(header="x-role", claim="realm.role"),)))
    spoofed = ask(snapshot, ("x-role", "admin"))
    assert spoofed["route"] == "HTTPRoute/shop/web/0"
    claimed = ask(snapshot, ("authorization", f"Bearer {ISSUER.token(realm={'role': 'admin'})}"))
    assert claimed["route"] == "HTTPRoute/shop/admin/0"
    other = ask(snapshot, ("x_role", "admin"), ("authorization", f"Bearer {ISSUER.token()}"))
    assert other["route"] == "HTTPRoute/shop/web/0"


# --- what policies see --------------------------------------------------------------------------------


def allow(**parts: Any) -> AuthorizationPolicy:
    return AuthorizationPolicy(key="shop/allow", rules=(AuthorizationRule(**parts),))


@pytest.mark.parametrize(
    ("parts", "claims", "allowed"),
    [
        ({"sources": (AuthorizationSource(request_principals=("*",)),)}, {}, True),
        ({"sources": (AuthorizationSource(request_principals=("*",)),)}, {"sub": None}, False),
        ({"sources": (AuthorizationSource(request_principals=("https://issuer.example/*",)),)}, {}, True),
        ({"sources": (AuthorizationSource(request_principals=("https://issuer.example/bob",)),)}, {}, False),
        (
            {"conditions": (AuthorizationCondition(key="request.auth.claims[g]", values=("b",)),)},
            {"g": ["a", "b"]},
            True,
        ),
        (
            {"conditions": (AuthorizationCondition(key="request.auth.claims[g]", values=("c",)),)},
            {"g": ["a", "b"]},
            False,
        ),
        (
            {"conditions": (AuthorizationCondition(key="request.auth.claims[a][b]", values=("c",)),)},
            {"a": {"b": "c"}},
            True,
        ),
        (
            {"conditions": (AuthorizationCondition(key="request.auth.audiences", values=("shop",)),)},
            {"aud": "shop"},
            True,
        ),
        (
            {"conditions": (AuthorizationCondition(key="request.auth.presenter", values=("app",)),)},
            {"azp": "app"},
            True,
        ),
        ({"conditions": (AuthorizationCondition(key="request.auth.presenter", values=("*",)),)}, {}, False),
    ],
)
def test_policies_decide_by_what_the_token_says(parts: Any, claims: dict[str, Any], allowed: bool) -> None:
    snapshot = table(rule(), policies=(allow(**parts),))
    want = PASSES if allowed else (403, "authorization_denied")
    assert verdict(snapshot, ISSUER.token(**claims)) == want
    assert verdict(snapshot) == (403, "authorization_denied")
