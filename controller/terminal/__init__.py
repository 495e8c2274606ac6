"""What people read on the terminal: start-up, changes, checks, explanations, status."""
