"""What this gateway is to others: its key, its certificate, and whom it believes."""
