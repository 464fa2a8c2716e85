"""Voice agents: dialled and kept, given a voice that can be interrupted, conversed with, bridged, and simulated."""
