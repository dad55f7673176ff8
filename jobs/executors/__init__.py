"""The same task bodies, here or on a cluster."""
