"""What the ingest benchmark is run with: frames, the load generator, and the servers beside ours."""
