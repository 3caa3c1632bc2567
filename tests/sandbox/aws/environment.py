"""The process's environment as AWS SDKs read it, for as long as a test runs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock


@contextmanager
def aws_environment(endpoint: str = "", **variables: str) -> Iterator[None]:
    """Nothing of the machine's own AWS settings; ``endpoint`` for all services, and ``variables``, from which "" takes.

    Without more, there are no credentials to be found, and nobody looks for a metadata service.
    """
    given = {f"AWS_{each}_ENDPOINT": endpoint for each in ("SECRETSMANAGER", "SSM", "STS") if endpoint}
    given |= {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    given |= {"AWS_EC2_METADATA_DISABLED": "true"} | variables
    with mock.patch.dict(os.environ):
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            del os.environ[name]
        os.environ.update({name: value for name, value in given.items() if value})
        yield
