"""What a host project tests its communications with; the ``communique`` fixture comes with the package."""

from .contract import BackendContract
from .kit import Kit

__all__ = ["BackendContract", "Kit"]
