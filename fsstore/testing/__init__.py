"""Fault injection, for the project's own tests and for others."""
