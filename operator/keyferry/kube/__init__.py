"""The only door to the API server.

Belongs here: requests, watches, Events, the rules for reaching referenced objects, the writing of target Secrets. Does
not belong here: deciding when or whether to sync, reading from stores.
"""
