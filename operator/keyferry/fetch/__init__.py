"""Between use cases and adapters: who reads what, once, within which limits.

Belongs here: the life of adapters, coalescing, batching, limits, time-outs, counting. Does not belong here: anything
that names a backend, Secret data, or Kubernetes writes.
"""
