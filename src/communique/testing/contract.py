"""The rules that every backend is held to, as tests to inherit."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple
from typing import Any

import pytest
from django.db import connections

from ..backends import Backend
from ..content import Email, Outgoing
from ..outcomes import Accepted, Outcome
from ..uids import uuid7


class BackendContract:
    """Subclass it in a test module, say how your backend is made, and pytest does the rest.

    >>> class TestPigeon(BackendContract):
    ...     def backend(self):
    ...         return Pigeon(loft="test loft, which answers")
    ...     def unreachable(self):
    ...         return Pigeon(loft="nobody there")
    """

    def backend(self) -> Backend:
        """A new backend, pointed at something that accepts what it is given."""
        raise NotImplementedError("define backend() to return your backend")

    def unreachable(self) -> Backend | None:
        """A new backend whose provider cannot be reached; None if it speaks to nobody."""
        return None

    def outgoing(self) -> Outgoing:
        """Something that your backend can send."""
        content = Email(
            subject="Grüße ✓", text="Your code is 4711.\n.\nbye\n", html="<p>4711</p>", headers={"X-Campaign": "spring"}
        )
        return Outgoing(
            key=str(uuid7()), channel="email", address="ada@shop.example", name="Ada, née Byron", content=content
        )

    @pytest.fixture(autouse=True)
    def _no_database(self) -> Iterator[None]:
        """Backends get values and return values: they run in threads that have no connection."""
        with _refused("a backend touched the database"):
            yield

    def test_accepts_and_says_so_with_an_outcome(self) -> None:
        backend = self.backend()
        outcome = backend.send(self.outgoing())
        backend.close()
        assert isinstance(outcome, Accepted), outcome

    def test_sends_one_after_the_other_on_one_instance(self) -> None:
        backend = self.backend()
        outcomes = [backend.send(self.outgoing()) for _ in range(3)]
        backend.close()
        assert [outcome.kind for outcome in outcomes] == ["accepted"] * 3

    def test_sends_the_same_key_again_when_asked(self) -> None:
        backend, outgoing = self.backend(), self.outgoing()
        outcomes = [backend.send(outgoing), backend.send(outgoing)]
        backend.close()
        assert [outcome.kind for outcome in outcomes] == ["accepted"] * 2

    def test_leaves_what_it_was_given_unchanged(self) -> None:
        backend, outgoing = self.backend(), self.outgoing()
        before = repr(outgoing)
        backend.send(outgoing)
        backend.close()
        assert repr(outgoing) == before

    def test_can_be_closed_twice_and_used_again(self) -> None:
        backend = self.backend()
        backend.close()
        backend.send(self.outgoing())
        backend.close()
        backend.close()
        outcome = backend.send(self.outgoing())
        backend.close()
        assert isinstance(outcome, Accepted), outcome

    def test_returns_an_outcome_when_nobody_answers(self) -> None:
        backend = self.unreachable()
        if backend is None:
            pytest.skip("this backend speaks to nobody")
        try:
            outcome = backend.send(self.outgoing())
        except Exception as error:
            raise AssertionError("expected trouble is returned, not raised") from error
        backend.close()
        assert isinstance(outcome, Outcome), f"expected an outcome, got {outcome!r}"
        assert outcome.kind == "retry", f"nothing was sent, so it can be tried again; got {outcome}"

    def test_keeps_addresses_and_content_out_of_its_outcomes(self) -> None:
        outgoing = self.outgoing()
        for backend in filter(None, (self.backend(), self.unreachable())):
            # Not repr(): in it a line break looks different.
            said = "\n".join(map(str, astuple(backend.send(outgoing))))
            backend.close()
            assert outgoing.address not in said
            assert outgoing.content.subject not in said
            assert max(outgoing.content.text.splitlines(), key=len) not in said


@contextmanager
def _refused(why: str) -> Iterator[None]:
    touched = False

    def refuse(execute: Any, sql: Any, params: Any, many: Any, context: Any) -> Any:
        nonlocal touched
        touched = True
        raise AssertionError(why)

    wrappers = [connection.execute_wrapper(refuse) for connection in connections.all(initialized_only=True)]
    for wrapper in wrappers:
        wrapper.__enter__()
    try:
        yield
    finally:
        for wrapper in wrappers:
            wrapper.__exit__(None, None, None)
    # Once more: a backend that catches everything caught the first one too.
    assert not touched, why
