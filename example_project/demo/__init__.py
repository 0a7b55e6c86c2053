"""`./demo`: the example shop, running."""
