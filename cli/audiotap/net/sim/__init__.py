"""Bots without a meeting."""
