"""Small tools that know nothing of Keyferry and could be published alone.

Belongs here: general asyncio and data structures. Does not belong here: anything that names a secret, a store, a
Kubernetes object or a setting.
"""
