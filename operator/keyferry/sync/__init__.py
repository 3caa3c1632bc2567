"""One use case per kind: what a custom resource asks for, brought about.

Belongs here: decisions, and the order of steps. Does not belong here: kopf, HTTP, backends, the writing of statuses. A
use case returns an ``Outcome``; the loop writes it.
"""
