"""Asks a running gateway's admin endpoint: what ``explain`` and ``status`` on the command line use."""

from __future__ import annotations

from typing import Any

import httpx
import msgspec

from gateway.admin.explain import Question, encode_question
from gateway.admin.status import StatusReport
from gateway.errors import AdminUnreachableError

_TIMEOUT_SECONDS = 10.0


class AdminClient:
    """One admin endpoint, by URL (``http://127.0.0.1:9901``) or ``HOST:PORT``."""

    def __init__(self, address: str) -> None:
        self._url = address.rstrip("/") if "://" in address else f"http://{address}"

    def explain(self, question: Question) -> dict[str, Any]:
        """The live table's answer."""
        answer: dict[str, Any] = msgspec.json.decode(self._ask("POST", "/explain", encode_question(question)))
        return answer

    def status(self) -> StatusReport:
        """Objects, conditions and versions."""
        return msgspec.json.decode(self.status_document(), type=StatusReport)

    def status_document(self) -> bytes:
        """The same, as JSON."""
        return self._ask("GET", "/status")

    def authority_document(self) -> bytes:
        """What a controller says of its authority, as JSON."""
        return self._ask("GET", "/authority")

    def _ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        try:
            # Proxies from the environment would send a loopback request elsewhere.
            with httpx.Client(base_url=self._url, timeout=_TIMEOUT_SECONDS, trust_env=False) as client:
                answer = client.request(method, path, content=body)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise AdminUnreachableError(
                f"no gateway answers at {self._url}: {error}", "is 'sekisho up' running there? set --admin otherwise"
            ) from error
        if answer.is_success:
            return answer.content
        raise AdminUnreachableError(f"{self._url}{path} answered {answer.status_code}: {_error_of(answer)}")


def _error_of(answer: httpx.Response) -> str:
    try:
        document = answer.json()
    except ValueError:
        return answer.text[:200]
    return str(document.get("error", document)) if isinstance(document, dict) else answer.text[:200]
