"""What a host project tests its communications with; the ``communique`` fixture comes with the package."""

from typing import TYPE_CHECKING, Any

from .kit import Kit

if TYPE_CHECKING:
    from .contract import BackendContract

__all__ = ["BackendContract", "Kit"]


def __getattr__(name: str) -> Any:
    # The contract is made of pytest tests; the kit also serves projects that have no pytest.
    if name == "BackendContract":
        from .contract import BackendContract

        return BackendContract
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
