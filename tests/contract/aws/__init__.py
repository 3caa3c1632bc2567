"""AWS: what the suite over all providers does not ask."""
