"""Provisioning: what each Gateway needs in a cluster is made, kept and removed.

Owns the objects made for Gateways. ``manifests`` and what it uses is pure; ``provisioner`` and ``observed`` talk to
the API server. What a Gateway needs is translation's to say (``controller/translate/infrastructure.py``).
"""

from __future__ import annotations

from controller.provision.manifests import provisioned
from controller.provision.provisioner import Provisioner
from controller.provision.settings import ProvisionerSettings, ProvisionSettings

__all__ = ["ProvisionSettings", "Provisioner", "ProvisionerSettings", "provisioned"]
