"""The control plane's benchmark: Sekisho and Envoy Gateway on the one-machine cluster, one after the other.

``python -m tests.bench.control`` starts a fresh cluster for each part and peer, and puts the figures together.
"""
