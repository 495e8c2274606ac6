"""Clients: curl as people run it, and hand-driven HTTP/1.1 and HTTP/2 for what no proper client sends."""
