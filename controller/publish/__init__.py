"""From tables to gateways: what is equal is suppressed, what changed becomes a delta."""
