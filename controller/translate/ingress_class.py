"""IngressClasses: which are ours, which Gateway serves them, and which class an Ingress has.

Owns ``spec.ingressClassName``, the annotation before it, and the default class (Kubernetes
``networking/v1``). A class of ours names the Gateway whose addresses its Ingresses share.
"""

from __future__ import annotations

import msgspec

from controller.resources import GATEWAY_GROUP, Gateway, Ingress, IngressClass, IngressClassParametersReference
from controller.store import Key
from controller.translate.graph import Reads, Stage
from controller.translate.indexes import INGRESS_CLASSES
from controller.translate.options import CLASS_NAME, Options
from controller.translate.stages import Rank

LEGACY_ANNOTATION = "kubernetes.io/ingress.class"
DEFAULT_ANNOTATION = "ingressclass.kubernetes.io/is-default-class"
GATEWAY_NAME = "sekisho-ingress"
"""The Gateway of classes that name none, in the controller's own namespace."""


class IngressClassView(msgspec.Struct, frozen=True):
    """A class as its Ingresses see it."""

    exists: bool
    ours: bool
    gateway: Key | None = None
    problem: str = ""
    """Why a class of ours has no Gateway."""


def default_gateway(options: Options) -> Key:
    """The Gateway of classes that name none."""
    return Key(Gateway.kind, options.namespace, GATEWAY_NAME)


def class_of(reads: Reads, ingress: Ingress) -> str | None:
    """The name of the class that an Ingress has; None if it has none."""
    legacy = ingress.metadata.annotations.get(LEGACY_ANNOTATION)
    return legacy or ingress.spec.ingress_class_name or _default_class(reads)


def _default_class(reads: Reads) -> str | None:
    """The class that is marked so, of several the youngest, as the API server chooses."""
    keys = reads.referring(INGRESS_CLASSES, "")
    if not keys:
        return CLASS_NAME if reads.options.implicit_class else None
    classes = [found for key in keys if (found := reads.get(IngressClass, "", key.name)) is not None]
    marked = [one for one in classes if one.metadata.annotations.get(DEFAULT_ANNOTATION) == "true"]
    youngest = max(marked, key=lambda one: one.metadata.creation_timestamp, default=None)
    return youngest.metadata.name if youngest else None


def _ingress_class(name: str, reads: Reads) -> IngressClassView:
    ingress_class = reads.get(IngressClass, "", name)
    if ingress_class is None:
        implied = reads.options.implicit_class and name == CLASS_NAME
        return IngressClassView(implied, implied, default_gateway(reads.options) if implied else None)
    if ingress_class.spec.controller != reads.options.ingress_controller_name:
        return IngressClassView(exists=True, ours=False)
    parameters = ingress_class.spec.parameters
    if parameters is None:
        return IngressClassView(exists=True, ours=True, gateway=default_gateway(reads.options))
    gateway = _gateway(parameters)
    if gateway is None:
        problem = f"IngressClass {name} has parameters that are no Gateway: {_REMEDY}"
        return IngressClassView(exists=True, ours=True, problem=problem)
    return IngressClassView(exists=True, ours=True, gateway=gateway)


_REMEDY = f"give apiGroup {GATEWAY_GROUP}, kind Gateway, scope Namespace, and the Gateway's namespace and name"


def _gateway(parameters: IngressClassParametersReference) -> Key | None:
    if (parameters.api_group, parameters.kind) != (GATEWAY_GROUP, Gateway.kind) or not parameters.namespace:
        return None
    return Key(Gateway.kind, parameters.namespace, parameters.name)


INGRESS_CLASS: Stage[str, IngressClassView] = Stage(Rank.INGRESS_CLASS, _ingress_class)
"""By name."""
