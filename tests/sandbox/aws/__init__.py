"""AWS on loopback: Secrets Manager and Parameter Store as moto has them, behind a door as strict as AWS's own.

``iam``         users, roles, sessions, and what they may
``signatures``  requests are signed as they have to be (SigV4), by somebody who is known, with keys that have not ended
``sts``         roles are assumed by whom they trust
``batches``     BatchGetSecretValue and GetParameters as AWS has them, out of moto's calls for one
``server``      all of it behind one port, with its calls counted and, on demand, its answers replaced

moto keeps accounts apart, so tests that share a server take one each: ``aws.account()``.
"""

from __future__ import annotations

from tests.sandbox.aws.environment import aws_environment
from tests.sandbox.aws.iam import Principal, Rights, Role
from tests.sandbox.aws.server import REGION, AwsSandbox, Reply

__all__ = ["REGION", "AwsSandbox", "Principal", "Reply", "Rights", "Role", "aws_environment"]
