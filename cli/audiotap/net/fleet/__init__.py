"""A fleet: several listeners as one. Nothing in here is imported unless an option asks for it."""
