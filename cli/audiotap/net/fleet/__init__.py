"""A fleet: several listeners, and whoever controls or hears their bots, over NATS. Imported when `--fleet` is given."""
