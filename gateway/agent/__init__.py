"""The gateway's half of a change: apply, acknowledge or refuse, remember, restore."""
