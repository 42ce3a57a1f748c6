"""The gRPC half of a worker: accepts tasks, supervises their children, journals what they say. Never imports torch."""
