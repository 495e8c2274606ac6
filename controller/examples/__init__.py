"""Examples that work from an installed package: the quickstart's manifests and its sample backends."""
