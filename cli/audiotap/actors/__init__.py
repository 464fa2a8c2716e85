"""Simulated agents: how each vendor's server behaves, as its pages say. Pure, and strangers to each other."""
