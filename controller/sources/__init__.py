"""Where objects come from. Every source gives the same :class:`~controller.sources.source.Change`."""

from __future__ import annotations

from controller.sources.manifests import ManifestSource
from controller.sources.source import Change, Source

__all__ = ["Change", "ManifestSource", "Source"]
