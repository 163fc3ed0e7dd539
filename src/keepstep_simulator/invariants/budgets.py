"""Budgets: I27. (I28, fair shares of many customers, waits.)"""

from collections import Counter

from keepstep_sandbox.log import CONSTANT_CONTACT, VIRTUOUS
from keepstep_simulator.story import Fact, Found, Story, Violation

# CC facts 3.1: calls in any second and in a UTC day for an application key, and the token endpoint's own limit.
A_SECOND, A_DAY, TOKENS_A_SECOND = 4, 10_000, 1
# Virtuous facts 4 state two limits of an organization's clock hour; whoever keeps the lower one keeps both.
AN_HOUR = 1500
# The same: so much of it is left to the nonprofit's other integrations, for all but consent.
HEADROOM, POLL, ON_THE_WAY = 0.2, "/Query", 60.0
SECOND, HOUR, DAY = 1.0, 3600.0, 86_400.0
# When a call arrived at the server, and the number of the fact that tells it.
Arrivals = list[tuple[float, int]]
_TOKENS = "tokens"


def within(story: Story) -> Found:
    """I27: in arrival times at the server, all processes together, no more calls than the vendors allow: at Constant
    Contact 4 in any second and 10,000 in any UTC day for the application key, one a second at its token endpoint, at
    Virtuous what the clock hour of an organization holds, of which the last fifth is left to others.

    The settings of a seed name one application key for all customers, so all of them count together, although each has
    a stand-in of its own. The day is never used up by so few people: what proves it is that the count in the store,
    which stops us, misses no call that arrived, over restarts too. The premise is a second that was full (one call more
    would have been too many), or a call of the token endpoint.
    """
    arrivals = _arrivals(story)
    calls = arrivals.pop(CONSTANT_CONTACT, [])
    tokens = arrivals.pop(_TOKENS, [])
    found = [*_in_a_second(calls, A_SECOND, "of the key"), *_in_a_second(tokens, TOKENS_A_SECOND, "for a token")]
    found += [*_in_windows(calls, DAY, A_DAY), *_uncounted(story, calls)]
    for organization in sorted(arrivals):
        found += _in_windows(arrivals[organization], HOUR, AN_HOUR)
    found += _spared(story)
    return found, len(_crowded(calls, A_SECOND - 1)) + len(tokens)


def _arrivals(story: Story) -> dict[str, Arrivals]:
    """By whose budget they draw from; at Virtuous that is the customer's own."""
    found: dict[str, Arrivals] = {}
    drawn = {}
    for fact in story.of("OUT"):
        data = fact.data
        own = fact.customer if data["vendor"] == VIRTUOUS else _TOKENS if data["token"] else CONSTANT_CONTACT
        drawn[fact.key] = own
    for fact in story.of("RSP"):
        if fact.data["arrived"] is not None:
            found.setdefault(drawn[fact.key], []).append((fact.data["arrived"], fact.n))
    for calls in found.values():
        calls.sort()
    return found


def _crowded(calls: Arrivals, before: int) -> list[tuple[float, float, int]]:
    """Calls with so many before them in less than a second: when those began, when this one came, its fact."""
    pairs = zip(calls, calls[before:], strict=False)
    return [(first, at, n) for (first, _), (at, n) in pairs if at - first < SECOND]


def _in_a_second(calls: Arrivals, most: int, what: str) -> list[Violation]:
    late = _crowded(calls, most)
    return [Violation("I27", n, f"{most + 1} calls {what} in {at - first:.2f} s") for first, at, n in late]


def _in_windows(calls: Arrivals, window: float, most: int) -> list[Violation]:
    counts = Counter(int(at // window) for at, _ in calls)
    why = f"more than {most} calls in a window of {window:.0f} s"
    return [Violation("I27", _last(calls, window, one), why) for one, count in counts.items() if count > most]


def _last(calls: Arrivals, window: float, one: int) -> int:
    return max(n for at, n in calls if int(at // window) == one)


def _uncounted(story: Story, calls: Arrivals) -> list[Violation]:
    """Calls of a day that the store has not counted. A disk that was put back, or a clock ahead of the vendor's, counts
    other days; a call that left just before midnight is of the day on which its permit was taken."""
    if story.count("RESTORE") or story.count("SKEW"):
        return []
    counted = _counted(story)
    arrived = Counter(int(at // DAY) for at, _ in calls if at % DAY >= SECOND)
    return [
        Violation("I27", _last(calls, DAY, day), f"{count} calls of a day arrived, {counted[day]} were counted")
        for day, count in sorted(arrived.items())
        if counted[day] < count
    ]


def _spared(story: Story) -> list[Violation]:
    """Polls, which are never consent's, that go out after the answers said how little of the hour is left. Each process
    learns it by itself; our clock says when the hour ends."""
    low: dict[tuple[int, str], tuple[float, float]] = {}
    found: list[Violation] = []
    for fact in story.of("OUT", "RSP", "OPERATE") if not story.count("SKEW") else ():
        place = (fact.process, fact.customer)
        if fact.kind == "OPERATE":
            low = {key: ends for key, ends in low.items() if key[1] != fact.customer}
        elif fact.kind == "RSP":
            if all(hour := fact.data.get("hour", ())):
                _learnt(low, place, fact, *map(float, hour))
        elif fact.data["vendor"] == VIRTUOUS and POLL in fact.data["path"]:
            since, until = low.get(place, (fact.t, fact.t))
            if since + ON_THE_WAY < fact.t < until:
                found.append(
                    Violation("I27", fact.n, f"{fact.customer}: a poll, though the rest of the hour is others'")
                )
    return found


def _learnt(
    low: dict[tuple[int, str], tuple[float, float]],
    place: tuple[int, str],
    fact: Fact,
    *hour: float,
) -> None:
    """What an answer says of the hour: how many calls are left, of how many, until when."""
    if hour:
        remaining, limit, reset = hour
        if remaining < HEADROOM * limit:
            since, until = low.get(place, (fact.t, reset))
            low[place] = (since if until == reset else fact.t, reset)
        else:
            low.pop(place, None)


def _counted(story: Story) -> Counter[int]:
    """What the permits of the key counted of each day; those of a token endpoint are apart."""
    used: Counter[tuple[str, int, int]] = Counter()
    for _, _, _, row in story.rows("permit"):
        if not row["key"].endswith(f" {_TOKENS}"):
            place = (row["key"], row["n"], row["day"])
            used[place] = max(used[place], row["used"])
    counted: Counter[int] = Counter()
    for (_, _, day), count in used.items():
        counted[day] += count
    return counted
