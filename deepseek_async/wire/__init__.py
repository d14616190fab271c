"""Bytes to types and back, without I/O."""
