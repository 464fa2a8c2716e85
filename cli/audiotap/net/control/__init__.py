"""The control socket, both ends of it."""
