"""``spec.provider.pulumi``: an environment of Pulumi ESC, over its REST API.

The rules are those of eso-facts 5.11. A key is a property path; the environment is opened once for all keys that are
asked for together, and each value is taken out of what was opened. So a key costs no request, and keys of one
ExternalSecret always fit together. A property that does not exist is ``NotThere``, so that the deletion policy counts.

The API is called through ``keyferry.jsonhttp``: opening, reading and the exchange of tokens are all that is needed.
Pulumi's library, pulumi-esc-sdk, has no asyncio, sets levels of the process's loggers, takes authorities from a file
only, knows no exchange of tokens, and turns every number into a float.

``config``   the model of ``spec.provider.pulumi``
``paths``    property paths, and the values that they lead to
``login``    access tokens, given or exchanged
``api``      requests, the table from status to error
``adapter``  the provider
"""

from __future__ import annotations

from keyferry.providers.pulumi.adapter import Pulumi

__all__ = ["Pulumi"]
