"""Public keys of token issuers, fetched and kept fresh. Must not know policies, nor what is made of keys."""
