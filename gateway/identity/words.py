"""What a controller's refusals, and errors of the way to it, are told as."""

from __future__ import annotations

import httpx


def refusal(answer: httpx.Response) -> str:
    """What the controller said, where it is not what was hoped for."""
    try:
        text = str(answer.json()["error"])
    except (ValueError, KeyError, TypeError):
        text = answer.text[:200]
    return f"{answer.status_code} {text}".strip()


def why(error: Exception) -> str:
    """An error of the connection in words, with the likely cause."""
    text = str(error) or type(error).__name__
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return f"{text}: maybe the mounted trust bundle is not the controller's"
    if isinstance(error, httpx.RemoteProtocolError) and "ConnectionTerminated" in text:
        return "it ended the connection"
    if isinstance(error, httpx.ConnectTimeout):
        return "no connection in time: maybe a NetworkPolicy blocks the controller's port"
    return text
