"""AWS Secrets Manager and Systems Manager Parameter Store, over botocore (what boto3 is made of) in bounded threads.

``config``           the model of ``spec.provider.aws``
``sdk``              botocore: sessions, clients, endpoints
``answers``          what AWS or the way to it answers → error
``identity``         whose keys sign a request: kept, and renewed before they end
``sts``              taking keys: assuming roles, with keys or with a ServiceAccount's token
``door``             one service in one region: a request in, an answer out
``batches``          many by one call, and what to do where that is not allowed
``secretsmanager``   reading and searching Secrets Manager
``parameterstore``   reading and searching Parameter Store
``adapter``          the provider

Certificate Manager, ESO's third service, is not served yet.
"""

from __future__ import annotations

from keyferry.providers.aws.adapter import Aws

__all__ = ["Aws"]
