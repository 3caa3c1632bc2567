"""What the process tells about itself: its log and its metrics. Neither ever shows a secret's value.

Belongs here: forms and names. Does not belong here: deciding when something is worth telling.
"""

from keyferry.telemetry import safe
from keyferry.telemetry.logs import configure_logging, get_logger, guard_loop, log_uncaught
from keyferry.telemetry.metrics import Metrics

__all__ = ["Metrics", "configure_logging", "get_logger", "guard_loop", "log_uncaught", "safe"]
