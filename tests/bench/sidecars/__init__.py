"""What a call costs with a sidecar on both sides, beside the same call without: ours, and Envoy as Istio configures it.

The caller's sidecar takes plaintext HTTP/1.1 and speaks mutual TLS with that of the app, which hands the request on to
its app on loopback. Both verify the other's identity; the app is told who called.
"""
