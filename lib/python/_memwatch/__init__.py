"""What programs load below `memwatch run`."""

from _memwatch.functions import profile

__all__ = ["profile"]
