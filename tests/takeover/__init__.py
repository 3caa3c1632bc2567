"""A cluster as ESO 2.9 leaves it, and whether ESO would take it back: for ``tests/cluster/test_takeover*``."""
