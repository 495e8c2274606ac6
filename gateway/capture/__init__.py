"""Capture: the rules that redirect a workload's connections to its sidecar, within its own network namespace."""
