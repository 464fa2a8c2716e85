"""A listener of several processes: a front, and workers that share the sessions."""
