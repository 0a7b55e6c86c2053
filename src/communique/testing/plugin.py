"""The pytest plugin: installing django-communique is enough to have the ``communique`` fixture."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .kit import Kit


@pytest.fixture(autouse=True, scope="session")
def _communique_wakes_nobody() -> Iterator[None]:
    """Tests that commit must not leave a bell's connection to a database that is about to be dropped."""
    from communique import wakeups

    with wakeups.muted():
        yield


@pytest.fixture
def communique(db: None) -> "Iterator[Kit]":
    """Everything published in the test, run and looked at without a worker; see :class:`communique.testing.Kit`."""
    from .kit import Kit

    with Kit.installed() as kit:
        yield kit
