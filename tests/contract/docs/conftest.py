"""The same API server as for the tests of the CRDs."""

from tests.contract.crds.conftest import api, cluster, has_controllers, plane

__all__ = ["api", "cluster", "has_controllers", "plane"]
