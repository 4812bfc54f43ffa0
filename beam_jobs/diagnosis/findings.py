"""What a look at this machine and its surroundings finds; each look bounded in time, none hides another."""

import dataclasses
import json
import logging
import threading
import time
import typing

_log = logging.getLogger("photobeam")

OK, WARNING, FAULT = "ok", "warning", "fault"


class Finding(typing.NamedTuple):
    """What was found.

    Attributes:
        status: :data:`OK`, :data:`WARNING` (the run would go, but not well) or :data:`FAULT` (it would fail).
        check: what was looked at.
        found: what is there, or what is wrong with it.
        remedy: what to do about it, '' where ``found`` says so, or nothing is to be done.
    """

    status: str
    check: str
    found: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.status:8} {self.check}: {self.found}{f'; {self.remedy}' if self.remedy else ''}"

    def to_json(self) -> str:
        """Encodes it as one JSON object on one line."""
        return json.dumps(self._asdict(), ensure_ascii=False)


def fault_of(check: str, error: Exception) -> Finding:
    """Returns an error as what was found; it names value and remedy itself, and the check but once."""
    return Finding(FAULT, check, (str(error) or repr(error)).removeprefix(check).lstrip(": "))


Look = typing.Callable[[], typing.Iterable[Finding]]
"""Looks at one thing. An exception is a finding, too: of a look that could not go on."""


@dataclasses.dataclass
class _UnderWay:
    check: str
    findings: list[Finding] = dataclasses.field(default_factory=list)

    def run(self, look: Look) -> None:
        try:
            for finding in look():
                self.findings.append(finding)
        except Exception as error:  # noqa: BLE001  whatever breaks one look, the others are reported
            _log.debug("%s", self.check, exc_info=True)
            self.findings.append(fault_of(self.check, error))


def look_at(looks: typing.Sequence[tuple[str, Look]], within_s: float) -> typing.Iterator[Finding]:
    """Looks at everything at once, and gives what is found in the order asked for.

    Args:
        looks: each with the name of what it looks at.
        within_s: for all of them; one that is not done by then is a fault, and is left to itself.
    """
    end_s = time.monotonic() + within_s
    begun = []
    for check, look in looks:
        under_way = _UnderWay(check)
        thread = threading.Thread(target=under_way.run, args=(look,), name=f"look at {check}", daemon=True)
        thread.start()
        begun.append((under_way, thread))
    for under_way, thread in begun:
        thread.join(max(0.0, end_s - time.monotonic()))
        late = thread.is_alive()
        yield from tuple(under_way.findings)
        if late:
            found = f"no answer within {within_s:g} s"
            yield Finding(FAULT, under_way.check, found, "check the address, and whether a firewall drops what is sent")
