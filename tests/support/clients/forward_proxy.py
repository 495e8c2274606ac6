"""A client of a forward proxy: absolute URLs, in the clear."""

from __future__ import annotations

import http.client


def through(address: str, url: str, port: int = 3128) -> tuple[int, str]:
    """What it is answered."""
    connection = http.client.HTTPConnection(address, port, timeout=10)
    try:
        connection.request("GET", url)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except (OSError, http.client.HTTPException) as error:
        raise AssertionError(f"{url}: {error}") from error
    finally:
        connection.close()
