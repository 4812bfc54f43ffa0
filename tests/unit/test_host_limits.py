"""Turns: fair shares of hosts, a rate a host, and what becomes of ailing ones."""

import asyncio
import time
import typing

import pytest

from schemas.failures import FailureReason, Stage
from transforms.fetch import host_limits
from transforms.fetch.fetch_error import FetchError
from transforms.fetch.host_limits import HostLimits
from transforms.workers.for_each import while_it_helps
from transforms.workers.shards_under_way import SHARD_RANK, is_oldest, ranked

FAILED = FetchError(FailureReason.SERVER_ERROR, Stage.FETCH, "HTTP status 503", 503)


async def ask(limits: HostLimits, host: str, seconds: float = 0.0, error: Exception | None = None) -> None:
    with await limits.turn(host):
        await asyncio.sleep(seconds)
        if error:
            raise error


async def fail(limits: HostLimits, host: str, times: int) -> None:
    for _ in range(times):
        with pytest.raises(FetchError):
            await ask(limits, host, error=FAILED)


def test_no_more_requests_than_asked_for_are_under_way() -> None:
    async def scenario() -> int:
        limits, now, most = HostLimits(3, 0, 1), 0, 0

        async def one(i: int) -> None:
            nonlocal now, most
            with await limits.turn(f"host{i % 5}"):
                now += 1
                most = max(most, now)
                await asyncio.sleep(0.001)
                now -= 1

        await asyncio.gather(*(one(i) for i in range(40)))
        return most

    assert asyncio.run(scenario()) == 3


def test_a_stalled_host_holds_its_share_only_and_alone_it_has_all() -> None:
    async def scenario() -> tuple[float, int]:
        limits = HostLimits(8, 0, 60)
        stalled = [asyncio.create_task(ask(limits, "stalled", 9)) for _ in range(50)]
        healthy = [asyncio.create_task(ask(limits, "healthy", 0.01)) for _ in range(40)]
        begun_s = time.monotonic()
        await asyncio.gather(*healthy)
        seconds = time.monotonic() - begun_s
        await asyncio.sleep(0.01)
        held = next(h.held for h in limits._hosts.values() if h.held)
        for task in stalled:
            task.cancel()
        await asyncio.gather(*stalled, return_exceptions=True)
        assert limits._free == 8
        return seconds, held

    seconds, held = asyncio.run(scenario())
    assert seconds < 1
    assert held == 8


def test_the_rate_of_one_host_is_kept_and_does_not_slow_another() -> None:
    async def scenario() -> tuple[float, float]:
        limits, begun_s = HostLimits(64, 50, 60), time.monotonic()
        first = asyncio.gather(*(ask(limits, "a") for _ in range(11)))
        await ask(limits, "b")
        other_s = time.monotonic() - begun_s
        await first
        return time.monotonic() - begun_s, other_s

    seconds, other_s = asyncio.run(scenario())
    assert 10 / 50 <= seconds < 1
    assert other_s < 0.1


def test_an_ailing_host_is_left_alone_then_probed_until_it_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_limits, "FIRST_PAUSE_S", 0.1)

    async def scenario() -> tuple[int, float]:
        limits, under_way, most = HostLimits(64, 0, 60), 0, 0
        await fail(limits, "ailing", host_limits.AILING_FAILURES)
        begun_s = time.monotonic()

        async def probe() -> None:
            nonlocal under_way, most
            with await limits.turn("ailing"):
                under_way += 1
                most = max(most, under_way)
                await asyncio.sleep(0.05)
                under_way -= 1

        probes = asyncio.gather(*(probe() for _ in range(host_limits.PROBES)))
        waiting = asyncio.gather(*(ask(limits, "ailing") for _ in range(30)))
        await ask(limits, "healthy")
        assert time.monotonic() - begun_s < 0.09
        await probes
        seconds = time.monotonic() - begun_s
        await waiting
        return most, seconds

    most, seconds = asyncio.run(scenario())
    assert most == host_limits.PROBES
    assert seconds >= 0.1


def test_who_waits_for_a_host_that_stays_ailing_fails_as_its_probe_did(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_limits, "FIRST_PAUSE_S", 0.05)

    async def scenario() -> tuple[list[typing.Any], float]:
        limits = HostLimits(64, 0, 0.2)
        await fail(limits, "dead", host_limits.AILING_FAILURES)
        begun_s = time.monotonic()
        got = await asyncio.gather(*(ask(limits, "dead", error=FAILED) for _ in range(200)), return_exceptions=True)
        return got, time.monotonic() - begun_s

    got, seconds = asyncio.run(scenario())
    assert {e.reason for e in got} == {FailureReason.SERVER_ERROR}
    assert sum(e.host_is_ailing for e in got) > 150
    assert 0.2 <= seconds < 1


@pytest.mark.parametrize("reason", [FailureReason.NOT_FOUND, FailureReason.TOO_LARGE, FailureReason.OPTED_OUT])
def test_final_answers_are_no_ailment(reason: FailureReason) -> None:
    async def scenario() -> float:
        limits, begun_s = HostLimits(4, 0, 60), time.monotonic()
        for _ in range(3 * host_limits.AILING_FAILURES):
            with pytest.raises(FetchError):
                await ask(limits, "host", error=FetchError(reason, Stage.FETCH, ""))
        return time.monotonic() - begun_s

    assert asyncio.run(scenario()) < 0.4


def test_a_cancelled_wait_gives_its_turn_to_the_next() -> None:
    async def scenario() -> None:
        limits = HostLimits(1, 0, 60)
        held = await limits.turn("a")
        first, second = (asyncio.create_task(ask(limits, "a")) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        with held:
            pass
        await asyncio.wait_for(second, 1)
        third = asyncio.create_task(ask(limits, "a"))
        await asyncio.sleep(0)
        third.cancel()
        await asyncio.wait_for(ask(limits, "a"), 1)

    asyncio.run(scenario())


def test_further_requests_for_a_photo_go_before_first_ones() -> None:
    async def scenario() -> list[str]:
        limits, order = HostLimits(1, 0, 60), []

        async def one(name: str, is_first: bool) -> None:
            with await limits.turn("host", is_first):
                order.append(name)

        with await limits.turn("host"):
            waiting = [asyncio.create_task(one(n, n != "again")) for n in ("first", "second", "again")]
            await asyncio.sleep(0)
        await asyncio.gather(*waiting)
        return order

    assert asyncio.run(scenario()) == ["again", "first", "second"]


def test_new_patience_probes_an_ailing_host_at_once_and_does_not_take_it_for_healthy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(host_limits, "MAX_PAUSE_S", 60.0)
    monkeypatch.setattr(host_limits, "FIRST_PAUSE_S", 60.0)

    async def scenario() -> tuple[int, list[typing.Any]]:
        limits = HostLimits(64, 0, 0.2)
        await fail(limits, "ailing", host_limits.AILING_FAILURES)
        await asyncio.sleep(0.25)
        monkeypatch.setattr(host_limits, "FIRST_PAUSE_S", 0.05)
        limits.renew_patience()
        probes = [asyncio.create_task(ask(limits, "ailing", 0.05, FAILED)) for _ in range(host_limits.PROBES)]
        others = [asyncio.create_task(ask(limits, "ailing")) for _ in range(30)]
        await asyncio.sleep(0.02)
        held = limits._hosts["ailing"].held
        await asyncio.wait(others, timeout=1)
        await asyncio.gather(*probes, return_exceptions=True)
        return held, [task.exception() for task in others]

    assert asyncio.run(scenario()) == (host_limits.PROBES, [None] * 30)


def test_the_shard_begun_first_has_its_turns_first_even_at_a_rate() -> None:
    async def scenario(requests_per_s: float) -> list[str]:
        limits, order = HostLimits(1, requests_per_s, 60), []

        async def one(name: str) -> None:
            SHARD_RANK.set(int(name[-1]))
            with await limits.turn("host"):
                order.append(name)

        with await limits.turn("host"):
            waiting = [asyncio.create_task(one(name)) for name in ("a2", "b2", "a1", "b1")]
            await asyncio.sleep(0)
        await asyncio.gather(*waiting)
        return order

    for requests_per_s in (0, 100):
        assert asyncio.run(scenario(requests_per_s)) == ["a1", "b1", "a2", "b2"]


def test_a_shard_gives_nothing_up_while_an_older_one_has_its_turns() -> None:
    async def scenario() -> tuple[int, list[str]]:
        limits, done, order = HostLimits(1, 0, 60), 0, []

        async def older() -> None:
            with ranked():
                await asyncio.gather(*(ask(limits, "host", 0.01) for _ in range(50)))
            order.append("older")

        async def photo() -> None:
            nonlocal done
            await ask(limits, "host", 0.01)
            done += 1

        async def second_pass() -> None:
            await asyncio.gather(*(photo() for _ in range(3)))
            await asyncio.sleep(60)

        async def younger() -> None:
            with ranked():
                await while_it_helps(second_pass(), lambda: done, 0.2, lambda: not is_oldest())
            order.append("younger")

        await asyncio.gather(older(), younger())
        return done, order

    assert asyncio.run(scenario()) == (3, ["older", "younger"])
