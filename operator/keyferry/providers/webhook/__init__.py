"""``spec.provider.webhook``: values out of any HTTP endpoint, by templates for the request and a path into the answer.

The rules are those of eso-facts 5.8 and of the Go libraries that ESO uses: ``text/template`` for requests,
``github.com/PaesslerAG/jsonpath`` for ``result.jsonPath``. What a namespaced store may not reach is refused when its
connection is made, at the very address that would be connected to.

``config``     the model of ``spec.provider.webhook``
``requests``   what is sent for one ref: the templates, filled and checked
``wire``       connections to addresses that are allowed; one request, one answer of bounded size
``ntlm``       logging in by NTLM, which is bound to a connection
``door``       requests with redirects, proxies and a deadline; whether the server can be reached
``answers``    the table from status to error; documents that are kept for the server's "not modified"
``jsonpath``   the value at a path, in a bounded number of steps
``values``     an answer as the bytes that ESO makes of it
``adapter``    the provider
"""

from __future__ import annotations

from keyferry.providers.webhook.adapter import Webhook

__all__ = ["Webhook"]
