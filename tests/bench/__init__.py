"""The gateway beside its peers on one machine: CPU for each request, latency and memory.

Each proxy runs alone, with one worker, on one core; the load generator and the backend share another.
"""
