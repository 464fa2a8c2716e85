"""The floor that awaits: sockets, tasks and the clock live here and nowhere below."""
