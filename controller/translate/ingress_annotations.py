"""Annotations of ingress-nginx: those that have a meaning here, and a sentence for each of the others.

Owns reading ``nginx.ingress.kubernetes.io/*`` of one Ingress. What a setting does to its paths is
decided elsewhere. None is passed over in silence: one without effect is named, and one that guards
what it stands on is named as a guard, so that nothing is served without it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec

from controller.translate.hostnames import hostname_problem
from controller.translate.ingress_canary import CANARY_ANNOTATIONS, Canary, read_canary
from controller.translate.ingress_cors import CORS_ANNOTATIONS, read_cors
from controller.translate.ingress_source_ranges import read_source_ranges, source_range_problems
from controller.translate.ingress_texts import Texts
from gateway.routing_table import model

PREFIX = "nginx.ingress.kubernetes.io/"

GUARDS = frozenset(
    {
        "auth-secret",
        "auth-tls-secret",
        "auth-type",
        "auth-url",
    }
)
_HINTS = {
    "proxy-connect-timeout": "limits.connectTimeout of GatewayParameters bounds it for a whole Gateway",
    "proxy-read-timeout": "limits.streamIdleTimeout of GatewayParameters bounds silence for a whole Gateway",
    "proxy-send-timeout": "limits.streamIdleTimeout of GatewayParameters bounds silence for a whole Gateway",
    "proxy-body-size": "bodies of any size are passed on as they arrive",
}
_PLAIN_BACKENDS = ("HTTP", "GRPC", "AUTO_HTTP")
_TLS_BACKENDS = ("HTTPS", "GRPCS")
_REDIRECT_CODES = ("301", "302", "303", "307", "308")
_VISIBLE = re.compile(r"[!-~]+(?: [!-~]+)*\Z")
_PATH = re.compile(r"/[!\"%->@-~]*\Z")
_WHOLE_TARGET = "$request_uri"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What the annotations of an Ingress ask for."""

    rewrite_target: str = ""
    use_regex: bool = False
    ssl_redirect: bool = False
    force_ssl_redirect: bool = False
    redirect: model.RequestRedirect | None = None
    app_root: str = ""
    canary: Canary | None = None
    source_ranges: model.SourceRanges | None = None
    cors: model.CORS | None = None
    tls_to_backend: bool = False
    aliases: tuple[str, ...] = ()
    upstream_host: str = ""
    forwarded_prefix: str = ""
    guards: tuple[str, ...] = ()
    """What is wrong with annotations that guard, and cannot be honoured."""
    notices: tuple[str, ...] = ()


def read_settings(annotations: Mapping[str, str]) -> Settings:
    """The settings of one Ingress."""
    texts = Texts(annotations, PREFIX)
    canary = read_canary(texts)
    if canary is not None:
        # As ingress-nginx has it: a canary shares everything else with the Ingress that it stands beside.
        texts.ignore(name for name in texts.names() if name not in CANARY_ANNOTATIONS)
        return Settings(canary=canary, notices=texts.notices())
    settings = Settings(
        rewrite_target=texts.take("rewrite-target"),
        use_regex=texts.flag("use-regex"),
        ssl_redirect=texts.flag("ssl-redirect"),
        force_ssl_redirect=texts.flag("force-ssl-redirect"),
        redirect=_redirect(texts),
        app_root=_app_root(texts),
        source_ranges=read_source_ranges(texts),
        cors=read_cors(texts),
        tls_to_backend=_tls_to_backend(texts),
        aliases=_aliases(texts),
        upstream_host=_upstream_host(texts),
        forwarded_prefix=_forwarded_prefix(texts),
    )
    texts.known(*CANARY_ANNOTATIONS, *CORS_ANNOTATIONS, "permanent-redirect-code", "temporal-redirect-code")
    unsupported = (texts.full(name) for name in texts.names() if name in GUARDS)
    guards = (
        *(f"the annotation {name} is not supported in this release" for name in unsupported),
        *source_range_problems(texts),
    )
    texts.known(*GUARDS)
    texts.name_the_rest(_HINTS)
    return msgspec.structs.replace(settings, guards=guards, notices=texts.notices())


def _redirect(texts: Texts) -> model.RequestRedirect | None:
    for name, default in (("temporal-redirect", "302"), ("permanent-redirect", "301")):
        url = texts.take(name)
        if not url:
            continue
        code = texts.take(f"{name}-code") or default
        if code not in _REDIRECT_CODES:
            texts.without_effect(f"{name}-code", f"{code!r} is none of {', '.join(_REDIRECT_CODES)}")
            code = default
        redirect = _redirect_to(url, int(code))
        if redirect is None:
            texts.without_effect(
                name, f"{url!r} is no URL or path without query and variables ({_WHOLE_TARGET} may end it)"
            )
        return redirect
    return None


def _redirect_to(url: str, status: int) -> model.RequestRedirect | None:
    keeps = url.endswith(_WHOLE_TARGET)
    try:
        parts = urlsplit(url.removesuffix(_WHOLE_TARGET))
        port = parts.port
    except ValueError:
        return None
    host = (parts.hostname or "").lower()
    if parts.scheme not in ("", "http", "https") or parts.query or parts.fragment or parts.username:
        return None
    if bool(parts.scheme) != bool(host) or (host and hostname_problem(host)) or (keeps and parts.path):
        return None
    if not keeps and not _PATH.match(parts.path or "/"):
        return None
    path = None if keeps else model.PathModifier(type="ReplaceFullPath", value=parts.path or "/")
    return msgspec.convert(
        {"type": "RequestRedirect", "scheme": parts.scheme, "hostname": host, "port": port, "status": status}
        | ({"path": msgspec.to_builtins(path)} if path else {}),
        model.RequestRedirect,
    )


def _app_root(texts: Texts) -> str:
    path = texts.take("app-root")
    if path and not _PATH.match(path):
        texts.without_effect("app-root", f"{path!r} is no absolute path without query and variables")
        return ""
    return path


def _tls_to_backend(texts: Texts) -> bool:
    protocol = texts.take("backend-protocol").upper()
    if protocol and protocol not in (*_PLAIN_BACKENDS, *_TLS_BACKENDS):
        texts.without_effect("backend-protocol", f"{protocol!r} is none of HTTP, HTTPS, GRPC and GRPCS")
    return protocol in _TLS_BACKENDS


def _aliases(texts: Texts) -> tuple[str, ...]:
    names = tuple(name.strip().lower() for name in texts.take("server-alias").split(",") if name.strip())
    wrong = [name for name in names if hostname_problem(name)]
    if wrong:
        texts.without_effect("server-alias", f"as to {wrong[0]!r}, which is no DNS name")
    return tuple(name for name in dict.fromkeys(names) if name not in wrong)


def _upstream_host(texts: Texts) -> str:
    host = texts.take("upstream-vhost").lower()
    if host and hostname_problem(host):
        texts.without_effect("upstream-vhost", f"{host!r} is no DNS name")
        return ""
    return host


def _forwarded_prefix(texts: Texts) -> str:
    prefix = texts.take("x-forwarded-prefix")
    if prefix and (not _VISIBLE.match(prefix) or "$" in prefix):
        texts.without_effect("x-forwarded-prefix", f"{prefix!r} is no plain header value")
        return ""
    return prefix
