"""A routing table in words: short texts for people, used by the terminal and the admin page.

Pure and total: every member of every closed union has words. Nothing here is parsed again.
"""

from __future__ import annotations

from typing import assert_never

from gateway.routing_table.model import (
    CORS,
    CredentialInjection,
    ExternalAuth,
    Filter,
    Listener,
    Match,
    PathModifier,
    RequestHeaderModifier,
    RequestMirror,
    RequestRedirect,
    ResponseHeaderModifier,
    Route,
    SourceRanges,
    URLRewrite,
    ValueMatch,
    WeightedBackend,
)


def match(predicates: Match) -> str:
    """``GET /cart* [x-canary=1] ?beta=yes``: the predicates of one match."""
    words: list[str] = []
    if predicates.method:
        words.append(predicates.method)
    words.append(_target(predicates))
    words.extend(f"[{_value_match(header)}]" for header in predicates.headers)
    words.extend(f"?{_value_match(parameter)}" for parameter in predicates.query)
    return " ".join(words)


def _target(predicates: Match) -> str:
    if predicates.grpc is not None:
        grpc = predicates.grpc
        text = f"/{grpc.service or '*'}/{grpc.method or '*'}"
        return f"~{text}" if grpc.type == "RegularExpression" else text
    path = predicates.path
    if path is None:
        return "/*"
    match path.type:
        case "Exact":
            return path.value
        case "PathPrefix":
            return f"{path.value.rstrip('/')}/*"
        case "RegularExpression":
            return f"~{path.value}"


def _value_match(value: ValueMatch) -> str:
    return f"{value.name}{'~' if value.type == 'RegularExpression' else '='}{value.value}"


def filter_(step: Filter) -> str:
    """What one filter does."""
    match step:
        case RequestHeaderModifier() | ResponseHeaderModifier():
            return _header_changes(step)
        case RequestRedirect():
            return f"redirect {step.status} to {_redirect_target(step)}"
        case URLRewrite():
            return f"rewrite to {step.hostname}{_path_modifier(step.path)}"
        case RequestMirror():
            return _mirror(step)
        case CORS() | ExternalAuth() | CredentialInjection() | SourceRanges():
            return _access(step)
        case _:
            assert_never(step)


def _access(step: CORS | ExternalAuth | CredentialInjection | SourceRanges) -> str:
    match step:
        case CORS():
            return f"CORS for {', '.join(step.allow_origins) or 'no origin'}"
        case ExternalAuth():
            return f"external authorization by {step.provider.backend}"
        case CredentialInjection():
            return f"credentials of {step.source or 'a Secret'}: {', '.join(header.name for header in step.headers)}"
        case SourceRanges():
            words = [f"only {', '.join(step.allow)}"] if step.allow else []
            words += [f"not {', '.join(step.deny)}"] if step.deny else []
            return f"clients: {', '.join(words)}"


def _mirror(step: RequestMirror) -> str:
    share = "" if step.numerator == step.denominator else f" {step.numerator}/{step.denominator}"
    return f"mirror{share} to {step.backend}"


def _header_changes(step: RequestHeaderModifier | ResponseHeaderModifier) -> str:
    of = "request" if isinstance(step, RequestHeaderModifier) else "response"
    changes = [f"set {header.name}" for header in step.set]
    changes += [f"add {header.name}" for header in step.add]
    changes += [f"remove {name}" for name in step.remove]
    return f"{of} headers: {', '.join(changes) or 'no change'}"


def _redirect_target(step: RequestRedirect) -> str:
    scheme = f"{step.scheme}://" if step.scheme else ""
    port = f":{step.port}" if step.port is not None else ""
    return f"{scheme}{step.hostname}{port}{_path_modifier(step.path)}" or "the same place"


def _path_modifier(modifier: PathModifier | None) -> str:
    if modifier is None:
        return ""
    match modifier.type:
        case "ReplaceFullPath":
            return modifier.value
        case "ReplacePrefixMatch":
            return f"{modifier.value.rstrip('/')}/*"


def backend(share: WeightedBackend, total_weight: int) -> str:
    """``Service/shop/cart/80 90%``, or what is answered in its place."""
    target = share.backend or "none"
    if share.failure is not None:
        target = f"{target} (answers {share.failure.status}: {share.failure.message or share.failure.code})"
    if share.weight == total_weight:
        return target
    percent = 100 * share.weight / total_weight if total_weight else 0
    return f"{target} {percent:.3g}%"


def backends(route: Route) -> tuple[str, ...]:
    """Where a route's traffic goes, in words."""
    if route.failure is not None:
        return (f"answers {route.failure.status}: {route.failure.message or route.failure.code}",)
    total = sum(share.weight for share in route.backends)
    return tuple(backend(share, total) for share in route.backends)


def listener_url(listener: Listener) -> str:
    """Where clients reach a listener on this machine: ``http://127.0.0.1:8080``."""
    address = f"[{listener.address}]" if ":" in listener.address else listener.address
    return f"{listener.protocol.lower()}://{address}:{listener.bind_port}"
