"""Where placed chunks go: recordings, the meter, a pipe. Sinks are synchronous and strangers to each other."""
