"""How photos are fetched: limits, pace and manners, each a flag."""

import dataclasses
import re

DEFAULT_USER_AGENT = "photobeam/0.1 (+https://github.com/photobeam/photobeam)"
OPT_OUT_TAGS = ("noai", "noimageai", "noindex", "noimageindex", "noml")
"""Directives of ``X-Robots-Tag`` that are taken for a refusal."""

_TAG = re.compile(r"[a-z][a-z0-9_-]*")
_TOKEN = re.compile(r"[A-Za-z_-]+")


@dataclasses.dataclass(frozen=True, kw_only=True)
class FetchOptions:
    """How photos are fetched.

    Attributes:
        timeout_s: longest time to connect, and longest silence of a server while it answers.
        deadline_s: longest time for one photo, all retries and waits between them included. Waiting for
            this process itself (its byte budget, its turn) does not count.
        retries: further attempts after a failure that may heal.
        concurrency: requests at once, in this process.
        max_image_bytes: a larger file is refused, decompressed bytes counted.
        user_agent: who we say we are. Operators of servers use it to reach the project: be honest.
        per_host_rate: requests per second that one host gets of this process at most; 0 = no limit.
        allow_private_hosts: URLs of the data and redirects may lead into private networks.
        opt_out_tags: directives of ``X-Robots-Tag`` with which a photo is not taken.
        verify_hash: a photo's YFCC hash, and the digests that answers state, must be right.

    Raises:
        ValueError: an option is out of its range; names the flag, the value and the remedy.
    """

    timeout_s: float = 10.0
    deadline_s: float = 60.0
    retries: int = 3
    concurrency: int = 64
    max_image_bytes: int = 50_000_000
    user_agent: str = DEFAULT_USER_AGENT
    per_host_rate: float = 0.0
    allow_private_hosts: bool = False
    opt_out_tags: tuple[str, ...] = OPT_OUT_TAGS
    verify_hash: bool = False

    def __post_init__(self) -> None:
        for flag, value, valid, allowed in (
            ("--timeout_s", self.timeout_s, 0 < self.timeout_s < float("inf"), "a number above 0"),
            ("--deadline_s", self.deadline_s, 0 < self.deadline_s < float("inf"), "a number above 0"),
            ("--retries", self.retries, self.retries >= 0, "0 or more"),
            ("--concurrency", self.concurrency, self.concurrency >= 1, "1 or more"),
            ("--max_image_bytes", self.max_image_bytes, self.max_image_bytes >= 1, "1 or more"),
            ("--user_agent", repr(self.user_agent), _is_header_text(self.user_agent), "printable ASCII text"),
            ("--per_host_rate", self.per_host_rate, 0 <= self.per_host_rate < float("inf"), "0 (off) or more"),
            ("--opt_out_tags", self.opt_out_tags, all(map(_TAG.fullmatch, self.opt_out_tags)), "noai,noindex or off"),
        ):
            if not valid:
                raise ValueError(f"{flag} {value} is out of range: give {allowed}")

    @property
    def product_token(self) -> str:
        """What ``robots.txt`` and ``X-Robots-Tag`` call us: the name at the start of the user agent.

        Example:
            >>> FetchOptions().product_token
            'photobeam'
        """
        match = _TOKEN.match(self.user_agent)
        return match[0].lower() if match else "photobeam"


def _is_header_text(text: str) -> bool:
    return bool(text) and text.isascii() and text.isprintable()
