"""Real backends: each runs on a thread of its own, listens on loopback and records what reached it."""
