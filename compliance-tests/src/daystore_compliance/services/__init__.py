"""Real servers for backends that need one: given by URL, in a container, or as a local process."""

from daystore_compliance.services.ladder import provide
from daystore_compliance.services.server import Server, ServiceUnavailable
from daystore_compliance.services.service import LocalProcess, Service
from daystore_compliance.services.target import ServiceTarget

__all__ = ["LocalProcess", "Server", "Service", "ServiceTarget", "ServiceUnavailable", "provide"]
