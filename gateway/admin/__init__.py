"""The admin endpoint: readiness, metrics, configuration, explain, status, and a page for people."""
