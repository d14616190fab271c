"""Decisions without I/O: clock and randomness come in as arguments."""
