"""Google Secret Manager, over the official asyncio client and google-auth.

``config``      the models of ``spec.provider.gcpsm``
``sites``       where Google's hosts are reached, and whom to trust there
``places``      key and version of a manifest → names of Secret Manager
``answers``     gRPC status → error
``door``        HTTP for google-auth: one request in, one answer or error out
``credentials`` credentials that google-auth does not have
``logins``      the ways to log in: key, workload identity, Keyferry's own identity
``federation``  the ways to log in as a workload of elsewhere
``configuration``  of type external_account, as far as it is harmless
``endpoint``    a URL that gives tokens of elsewhere
``tokens``      when to log in: one access token for one adapter
``session``     one channel: an RPC in, an answer or error out
``adapter``     the provider
"""

from __future__ import annotations

from keyferry.providers.gcpsm.adapter import Gcpsm

__all__ = ["Gcpsm"]
