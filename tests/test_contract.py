"""The shipped contract for backends: ours keep it, and whoever breaks a rule of it is told."""

import pytest

from communique import Accepted, Refused, Retry
from communique.backends import Backend, DjangoMailBackend, MemoryBackend, memory
from communique.models import EventRecord
from communique.testing import BackendContract
from communique.testing.contract import _refused
from tests.smtp_server import SMTPServer, port_where_nobody_listens, used_by_django


@pytest.mark.once
class TestMemoryBackend(BackendContract):
    @pytest.fixture(autouse=True)
    def _forgotten(self):
        yield
        memory.clear()

    def backend(self):
        return MemoryBackend()


@pytest.mark.once
class TestDjangoMailBackend(BackendContract):
    @pytest.fixture(autouse=True)
    def _provider(self):
        with SMTPServer() as self.server, self.server.used_by_django():
            yield

    def backend(self):
        return DjangoMailBackend()

    def unreachable(self):
        return _Elsewhere(port_where_nobody_listens())


class _Elsewhere(DjangoMailBackend):
    """Sends by another server than the settings say."""

    def __init__(self, port):
        super().__init__()
        self.port = port

    def send(self, outgoing):
        with used_by_django(self.port):
            return super().send(outgoing)


class Good(Backend):
    """Keeps every rule; the others below break one each."""

    def send(self, outgoing):
        return Accepted()


class Raises(Good):
    def send(self, outgoing):
        raise ConnectionError("no route to host")


class ReturnsNone(Good):
    def send(self, outgoing):
        return None


class ReturnsTrue(Good):
    def send(self, outgoing):
        return True


class Refuses(Good):
    def send(self, outgoing):
        return Refused("550")


class Waits(Good):
    def send(self, outgoing):
        return Retry("451")


class SendsOnce(Good):
    """Cannot be used again."""

    used = False

    def send(self, outgoing):
        used, self.used = self.used, True
        return Refused("503") if used else Accepted()


class RemembersKeys(Good):
    """Takes the second attempt for a mistake."""

    def __init__(self):
        self.seen = set()

    def send(self, outgoing):
        if outgoing.key in self.seen:
            return Refused("duplicate")
        self.seen.add(outgoing.key)
        return Accepted()


class Mutates(Good):
    def send(self, outgoing):
        outgoing.content.headers["X-Seen"] = "yes"
        return Accepted()


class MutatesByForce(Good):
    def send(self, outgoing):
        object.__setattr__(outgoing, "name", "")
        return Accepted()


class StaysClosed(Good):
    closed = False

    def send(self, outgoing):
        return Retry("closed") if self.closed else Accepted()

    def close(self):
        self.closed = True


class ClosesOnce(Good):
    closed = False

    def close(self):
        assert not self.closed
        self.closed = True


class RepeatsTheAddress(Good):
    def send(self, outgoing):
        return Accepted(detail=f"queued for {outgoing.address}")


class RepeatsTheText(Good):
    def send(self, outgoing):
        return Accepted(detail=outgoing.content.text)


class RepeatsTheSubject(Good):
    def send(self, outgoing):
        return Accepted(reference=outgoing.content.subject)


class TouchesTheDatabase(Good):
    def send(self, outgoing):
        EventRecord.objects.exists()
        return Accepted()


class TouchesTheDatabaseInSecret(Good):
    def send(self, outgoing):
        try:
            EventRecord.objects.exists()
        except BaseException:
            return Accepted()
        return Accepted()


def contract_of(backend, unreachable=None):
    contract = BackendContract()
    contract.backend = backend
    contract.unreachable = unreachable or (lambda: None)
    return contract


def rules():
    return [name for name in dir(BackendContract) if name.startswith("test_")]


@pytest.mark.once
@pytest.mark.parametrize("rule", rules())
def test_a_good_backend_keeps_every_rule(rule):
    def unreachable():
        return Waits()

    getattr(contract_of(Good, unreachable), rule)()


@pytest.mark.once
@pytest.mark.parametrize(
    ("backend", "rule"),
    [
        (ReturnsNone, "accepts_and_says_so_with_an_outcome"),
        (ReturnsTrue, "accepts_and_says_so_with_an_outcome"),
        (Refuses, "accepts_and_says_so_with_an_outcome"),
        (Waits, "accepts_and_says_so_with_an_outcome"),
        (SendsOnce, "sends_one_after_the_other_on_one_instance"),
        (RemembersKeys, "sends_the_same_key_again_when_asked"),
        (Mutates, "leaves_what_it_was_given_unchanged"),
        (MutatesByForce, "leaves_what_it_was_given_unchanged"),
        (StaysClosed, "can_be_closed_twice_and_used_again"),
        (ClosesOnce, "can_be_closed_twice_and_used_again"),
        (RepeatsTheAddress, "keeps_addresses_and_content_out_of_its_outcomes"),
        (RepeatsTheText, "keeps_addresses_and_content_out_of_its_outcomes"),
        (RepeatsTheSubject, "keeps_addresses_and_content_out_of_its_outcomes"),
    ],
)
def test_a_backend_that_breaks_a_rule_is_told(backend, rule):
    with pytest.raises(AssertionError):
        getattr(contract_of(backend), f"test_{rule}")()


@pytest.mark.once
@pytest.mark.parametrize("unreachable", [Raises, ReturnsNone, Refuses, Good])
def test_a_backend_whose_provider_is_gone_returns_a_retry(unreachable):
    with pytest.raises(AssertionError):
        contract_of(Good, unreachable).test_returns_an_outcome_when_nobody_answers()


@pytest.mark.once
@pytest.mark.parametrize("rule", ["accepts_and_says_so_with_an_outcome", "leaves_what_it_was_given_unchanged"])
def test_a_backend_that_raises_fails_with_what_it_raised(rule):
    with pytest.raises(ConnectionError):
        getattr(contract_of(Raises), f"test_{rule}")()


@pytest.mark.once
def test_a_contract_without_a_backend_says_what_to_define():
    with pytest.raises(NotImplementedError, match="define backend"):
        BackendContract().backend()


@pytest.mark.once
def test_a_backend_without_a_provider_need_not_be_unreachable():
    with pytest.raises(pytest.skip.Exception):
        contract_of(Good).test_returns_an_outcome_when_nobody_answers()


@pytest.mark.django_db
@pytest.mark.xfail(raises=AssertionError, strict=True, reason="a backend touched the database")
class TestABackendThatTouchesTheDatabase(BackendContract):
    """Every rule is an occasion to be caught."""

    def backend(self):
        return TouchesTheDatabase()

    test_returns_an_outcome_when_nobody_answers = None


@pytest.mark.django_db
def test_a_backend_that_touches_the_database_in_secret_is_caught_afterwards():
    with pytest.raises(AssertionError, match="touched"), _refused("a backend touched the database"):
        contract_of(TouchesTheDatabaseInSecret).test_accepts_and_says_so_with_an_outcome()
