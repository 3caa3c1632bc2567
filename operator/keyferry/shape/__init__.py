"""Bytes in, bytes out: from the documents of a store to the data of a Secret.

Belongs here: properties, decoding, keys, templates, hashes. Does not belong here: an event loop, a network, a clock, a
log; whatever is shaped here can be shaped again, with the same result.
"""
