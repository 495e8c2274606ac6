"""The Kubernetes API: watching objects, writing statuses and events, the leader's lease.

Owns every word spoken with the API server; nothing else in the project talks to it. Must not translate,
and knows nothing of gateways.
"""
