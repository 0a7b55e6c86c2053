"""Stand-ins for the outside world: servers that behave like real providers, each in a process of its own."""
