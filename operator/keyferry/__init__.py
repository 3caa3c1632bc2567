"""Keyferry keeps Kubernetes Secrets in step with external secret stores.

The rooms of this package and the floors they stand on are described in ``operator/README.md``.
"""
