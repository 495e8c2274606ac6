"""The authority of the mesh: identities and the certificates that prove them."""
