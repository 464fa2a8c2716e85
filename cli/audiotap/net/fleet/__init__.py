"""Several machines as one: where recordings are brought together."""
