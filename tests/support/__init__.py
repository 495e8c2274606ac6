"""What the tests stand on: processes, backends, clients, manifests and certificates.

Everything here talks over loopback, ends what it starts by process id, and bounds every wait.
"""
