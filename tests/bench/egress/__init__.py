"""The gateway as a way out beside other forward proxies."""
