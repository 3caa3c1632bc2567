"""``spec.provider.gitlab``: CI/CD variables of a project and of groups, over GitLab's REST API.

The rules are those of eso-facts 5.9. A key is the name of a variable, with ``-`` for ``_`` if one likes. A variable
that does not exist is ``NotThere``, so that the deletion policy counts.

The API is called through ``keyferry.jsonhttp``: three kinds of GET requests are all that is needed. The library of the
field, python-gitlab, has no asyncio, takes authorities from a file only, sleeps in its thread when it is told to slow
down, and puts answers, which hold values, into its exceptions.

``config``     the model of ``spec.provider.gitlab``
``variables``  a variable; which of its scopes counts
``api``        requests, paging, the table from status to error
``adapter``    the provider: project, then groups
"""

from __future__ import annotations

from keyferry.providers.gitlab.adapter import GitLab

__all__ = ["GitLab"]
