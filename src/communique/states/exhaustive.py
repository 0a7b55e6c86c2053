"""A model of one delivery under two senders, small enough to visit every interleaving: ``python -m`` this module.

Each action below is one transaction, or one call of a provider, with the guard that the function of the same name in
``outbox`` has in its WHERE clause. A sender may stop at any point and go on later as a *ghost*, when somebody else has
taken its lease for lost; it may die for good; the host may cancel, and time may run out, at any moment. What holds in
every reachable state is in :func:`broken`, and from every one of them an end can be reached.
"""

import sys
from collections import defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar, get_args

from . import MAX_STARTS, MOVES, VERDICT_OF, State, Verdict

OnUnknown = Literal["resend", "hold"]
Answer = Literal["", "accepted", "retry", "refused", "unknown"]
T = TypeVar("T")

# Bounds that keep the model finite: with fewer stops no delivery is quarantined, and more of anything shows no more.
ATTEMPTS, LEASES, STOPS = 3, 3, 3


@dataclass(frozen=True, slots=True)
class Sender:
    """What a sender knows: the lease that it believes in, its attempt, and what the provider said."""

    at: Literal["idle", "claimed", "opened", "answered"] = "idle"
    token: int = 0
    attempt: int = -1
    answer: Answer = ""


@dataclass(frozen=True, slots=True)
class World:
    """The rows, the senders, and the provider's ledger."""

    state: State = State.QUEUED
    token: int = 0
    starts: int = 0
    verdict: Verdict = Verdict.PENDING
    expired: bool = False
    # By attempt: its outcome, "" while open. A late result says so.
    attempts: tuple[str, ...] = ()
    leases: int = 0
    stops: int = 0
    senders: tuple[Sender, Sender] = (Sender(), Sender())
    # By attempt: the provider took it.
    ledger: tuple[bool, ...] = ()


Step = tuple[str, World]


def steps(world: World, on_unknown: OnUnknown) -> Iterator[Step]:
    """Everything that may happen next."""
    for who in (0, 1):
        yield from _by_sender(world, who, on_unknown)
    yield from _by_others(world, on_unknown)


def _by_sender(world: World, who: int, on_unknown: OnUnknown) -> Iterator[Step]:
    me = world.senders[who]
    if me.at == "idle":
        yield from _claim(world, who)
    elif me.at == "claimed":
        yield from _after_claim(world, who, me)
    elif me.at == "opened":
        yield from _call(world, who, me)
    else:
        yield from _settle(world, who, me, on_unknown)
    if me.at != "idle" and world.stops < STOPS:
        yield "die", replace(_idle(world, who), stops=world.stops + 1)


def _claim(world: World, who: int) -> Iterator[Step]:
    if world.state is State.QUEUED and world.leases < LEASES:
        lease = world.leases + 1
        claimed = replace(world, state=State.CLAIMED, token=lease, leases=lease, starts=world.starts + 1)
        yield "claim", _with(claimed, who, Sender("claimed", lease))


def _after_claim(world: World, who: int, me: Sender) -> Iterator[Step]:
    mine = world.state is State.CLAIMED and world.token == me.token
    if not mine:
        # The guard fails, whatever this sender wanted to do: it sends nothing.
        yield "refused", _idle(world, who)
        return
    yield "put_back", replace(_idle(world, who), state=State.QUEUED, starts=world.starts - 1)
    if world.verdict is Verdict.CANCELLED:
        yield "end", _end(_idle(world, who), State.CANCELLED)
    elif world.expired:
        yield "end", _end(_idle(world, who), State.EXPIRED)
    else:
        yield "end", _end(_idle(world, who), State.FAILED)  # what it was about has been deleted
    if len(world.attempts) < ATTEMPTS and not world.expired:
        opened = replace(world, state=State.SENDING, attempts=(*world.attempts, ""), ledger=(*world.ledger, False))
        yield "open", _with(opened, who, replace(me, at="opened", attempt=len(world.attempts)))


def _call(world: World, who: int, me: Sender) -> Iterator[Step]:
    took = replace(world, ledger=_put(world.ledger, me.attempt, True))
    possible: tuple[tuple[World, Answer], ...] = (
        (took, "accepted"),
        (took, "unknown"),
        (world, "unknown"),
        (world, "retry"),
        (world, "refused"),
    )
    for after, answer in possible:
        yield f"call: {answer}", _with(after, who, replace(me, at="answered", answer=answer))


def _settle(world: World, who: int, me: Sender, on_unknown: OnUnknown) -> Iterator[Step]:
    if is_open_under(world, me):
        yield "settle", _settled(_idle(world, who), me.attempt, me.answer, on_unknown)
        # Committed, but the acknowledgement is lost: it will do it again.
        yield "settle", _settled(world, me.attempt, me.answer, on_unknown)
    else:
        yield "settle_late", _settled_late(_idle(world, who), me)


def is_open_under(world: World, me: Sender) -> bool:
    """The guard of `settle`."""
    return world.state is State.SENDING and world.token == me.token


def _by_others(world: World, on_unknown: OnUnknown) -> Iterator[Step]:
    if world.stops < STOPS or not any(sender.token == world.token for sender in world.senders):
        yield from _lease_runs_out(world, on_unknown)
    if world.verdict is Verdict.PENDING:
        cancelled = replace(world, verdict=Verdict.CANCELLED)
        stopped = world.state in (State.QUEUED, State.CLAIMED)
        yield "cancel", replace(cancelled, state=State.CANCELLED) if stopped else cancelled
    if not world.expired:
        yield "time passes", replace(world, expired=True)


def _lease_runs_out(world: World, on_unknown: OnUnknown) -> Iterator[Step]:
    held = any(sender.token == world.token and sender.at != "idle" for sender in world.senders)
    stops = world.stops + 1 if held else world.stops
    # Nobody's token: should the lost sender come back, nothing is its own.
    lost = replace(world, token=-1, stops=stops)
    if world.state is State.CLAIMED:
        # One start earlier than in the outbox, where the first was in company: it keeps the model small.
        deadly = world.starts >= MAX_STARTS
        yield "requeue_lost", _end(lost, State.QUARANTINED) if deadly else replace(lost, state=State.QUEUED)
    elif world.state is State.SENDING:
        yield "settle", _settled(lost, world.attempts.index(""), "unknown", on_unknown)


def _settled(world: World, attempt: int, answer: str, on_unknown: OnUnknown) -> World:
    closed = replace(world, attempts=_put(world.attempts, attempt, answer), starts=0)
    if answer == "accepted":
        return _end(closed, State.SENT)
    if answer == "refused":
        return _end(closed, State.FAILED)
    if answer == "unknown" and (on_unknown == "hold" or len(closed.attempts) == ATTEMPTS):
        return _end(closed, State.UNKNOWN)
    if len(closed.attempts) == ATTEMPTS:
        return _end(closed, State.FAILED)  # tried for as long as allowed
    return replace(closed, state=State.QUEUED)


def _settled_late(world: World, me: Sender) -> World:
    if world.attempts[me.attempt] != "unknown":
        return world
    kept = replace(world, attempts=_put(world.attempts, me.attempt, f"late {me.answer}"))
    waiting = world.state in (State.QUEUED, State.CLAIMED, State.UNKNOWN)
    return _end(kept, State.SENT) if me.answer == "accepted" and waiting else kept


def _end(world: World, state: State) -> World:
    verdict = VERDICT_OF.get(state)
    open_to_it = world.verdict is Verdict.PENDING or (verdict is Verdict.REACHED and world.verdict is Verdict.CANCELLED)
    return replace(world, state=state, verdict=verdict if verdict and open_to_it else world.verdict)


def _idle(world: World, who: int) -> World:
    return _with(world, who, Sender())


def _with(world: World, who: int, sender: Sender) -> World:
    return replace(world, senders=_put(world.senders, who, sender))


def _put(values: tuple[T, ...], position: int, value: T) -> Any:
    # Any: a tuple of the same length, which the type system cannot say.
    return (*values[:position], value, *values[position + 1 :])


_WAITING = (State.QUEUED, State.CLAIMED, State.SENDING)


def broken(world: World, on_unknown: OnUnknown) -> str:
    """Name the promise that does not hold in this state of the world; empty if all do."""
    took = sum(world.ledger)
    told = [outcome for outcome in world.attempts if outcome in ("accepted", "late accepted")]
    unsure = [outcome for outcome in world.attempts if "unknown" in outcome or outcome == "" or outcome[:4] == "late"]
    if world.attempts.count("") > 1:
        return "two attempts are open at once"
    if took > len(told) + len(unsure):
        return "the provider took something that no attempt explains"
    if took - 1 > len(unsure):
        return "there are more duplicates than unknown outcomes"
    if on_unknown == "hold" and took > 1:
        return "a message that would rather be lost than doubled was doubled"
    if world.state is State.SENT and not told:
        return "sent without an acceptance"
    if world.attempts.count("accepted") > 1:
        return "accepted twice in the eyes of the outbox"
    if world.verdict is Verdict.REACHED and not told:
        return "reached without an acceptance"
    if world.verdict is Verdict.PENDING and world.state not in (*_WAITING, State.UNKNOWN):
        return "ended without a verdict"
    return ""


@dataclass(frozen=True, slots=True)
class Report:
    """What visiting everything brought."""

    worlds: int
    moves: dict[str, frozenset[tuple[State, State]]]
    broken: list[str]
    stuck: int


def explore(on_unknown: OnUnknown) -> Report:
    """Visit every reachable state of the world, breadth first."""
    start = World()
    came_from: dict[World, list[World]] = {start: []}
    moves: dict[str, set[tuple[State, State]]] = defaultdict(set)
    troubles: list[str] = []
    ends: list[World] = []
    waiting = deque([start])
    while waiting:
        world = waiting.popleft()
        if trouble := broken(world, on_unknown):
            troubles.append(f"{trouble}: {world}")
        if world.state not in _WAITING:
            ends.append(world)
        for action, after in steps(world, on_unknown):
            if after.state is not world.state:
                moves[action].add((world.state, after.state))
            if after not in came_from:
                came_from[after] = []
                waiting.append(after)
            came_from[after].append(world)
    stuck = came_from.keys() - _reaching(ends, came_from)
    return Report(len(came_from), {name: frozenset(seen) for name, seen in moves.items()}, troubles, _count(stuck))


def _reaching(ends: list[World], came_from: dict[World, list[World]]) -> set[World]:
    seen, waiting = set(ends), deque(ends)
    while waiting:
        for before in came_from[waiting.popleft()]:
            if before not in seen:
                seen.add(before)
                waiting.append(before)
    return seen


def _count(stuck: set[World]) -> int:
    """Waiting with every lease and attempt of the model used up is the model's end, not the outbox's."""
    return sum(1 for world in stuck if world.leases < LEASES)


def main() -> int:
    faults = 0
    seen: dict[str, set[tuple[State, State]]] = defaultdict(set)
    for on_unknown in get_args(OnUnknown):
        report = explore(on_unknown)
        faults += len(report.broken) + report.stuck
        for name, moves in report.moves.items():
            seen[name] |= moves
        sys.stdout.write(f"{on_unknown}: {report.worlds} states, {len(report.broken)} broken, {report.stuck} stuck\n")
    differs = {name for name in seen.keys() | MOVES.keys() if seen.get(name, set()) != set(MOVES.get(name, ()))}
    sys.stdout.write(f"moves that differ from MOVES: {', '.join(sorted(differs)) or 'none'}\n")
    return 1 if faults or differs else 0


if __name__ == "__main__":
    sys.exit(main())
