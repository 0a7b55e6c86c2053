"""A mail program for the demo: shows what the fake mail provider accepted."""
