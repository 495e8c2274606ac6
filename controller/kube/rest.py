"""kubernetes-asyncio's REST layer, without the rest of the package.

Importing the package runs the generated client of every API group: 1.5 s and 75 MiB for types that are not
used here. The REST layer alone needs none of them, so its module is loaded beneath two empty packages that
are taken away again; a later import of the whole package finds nothing changed.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, cast

_PACKAGE = "kubernetes_asyncio"
_CLIENT = f"{_PACKAGE}.client"
_REST = f"{_CLIENT}.rest"


class RestClient(Protocol):
    """What is used of ``RESTClientObject``."""

    async def request(self, method: str, url: str, **options: Any) -> Any:
        """One request; with ``_preload_content=False`` the answer is aiohttp's response."""
        ...

    async def close(self) -> None:
        """Closes every connection."""
        ...


def rest_client(configuration: object) -> RestClient:
    """A client by ``configuration``, which has the attributes of ``kubernetes_asyncio.client.Configuration``."""
    return cast("RestClient", _rest_module().RESTClientObject(configuration))


def _rest_module() -> Any:
    if _REST in sys.modules:
        return sys.modules[_REST]
    if _PACKAGE in sys.modules:
        return importlib.import_module(_REST)
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ImportError("kubernetes-asyncio is not installed", name=_PACKAGE)
    locations = list(spec.submodule_search_locations)
    added = (
        _package(_PACKAGE, locations),
        _package(_CLIENT, [str(Path(location) / "client") for location in locations]),
    )
    try:
        return importlib.import_module(_REST)
    finally:
        for module in added:
            sys.modules.pop(module.__name__, None)


def _package(name: str, path: list[str]) -> ModuleType:
    module = ModuleType(name)
    module.__path__ = path
    sys.modules[name] = module
    return module
