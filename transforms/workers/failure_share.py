"""Ends a run in which too many photos fail: what it would make is of no use, and servers are asked in vain."""

import collections
import math
import typing

from schemas.failures import FailureReason
from transforms.workers import progress

MIN_PHOTOS = 1_000
"""So many photos are waited for before their failures are judged."""

REASONS_SHOWN = 3

_REMEDIES = {
    FailureReason.NO_IMAGE_SOURCE: "name a place that has the photos with --images, or try --flickr_fallback",
    FailureReason.NOT_FOUND: "see that --mirror and --images name the right root, with the source's own paths below it",
    FailureReason.FORBIDDEN: "the place refuses access: see whether it is public, and its paths right",
    FailureReason.OPTED_OUT: "the hosts refuse such use: take the photos from another place",
    FailureReason.BLOCKED_ADDRESS: "name the host with --mirror if it is yours, or see --allow_private_hosts",
    FailureReason.RATE_LIMITED: "lower --concurrency or --workers, or set --per_host_rate",
    FailureReason.SERVER_ERROR: "the server is overloaded or broken: lower --concurrency, or come back later",
    FailureReason.DNS_ERROR: "see that the host's name resolves here, and HTTP(S)_PROXY if there is a proxy",
    FailureReason.CONNECTION_ERROR: "see that the host is up and reachable, also through a firewall or proxy",
    FailureReason.TLS_ERROR: "see that this machine's clock and root certificates are right",
    FailureReason.TIMEOUT: "lower --concurrency, or raise --timeout_s and --deadline_s",
    FailureReason.TOO_LARGE: "raise --max_image_bytes",
    FailureReason.TOO_MANY_PIXELS: "raise --max_pixels",
}


class TooManyFailuresError(RuntimeError):
    """More photos failed than ``--max_failure_ratio`` permits."""


def check_share(max_ratio: float) -> None:
    """Judges this run so far, all of its processes together; what waits for its last attempt counts as failed.

    Raises:
        TooManyFailuresError: too many photos failed; names the commonest reasons and remedies.
    """
    counts = progress.counts()
    failed = counts["failed"] + counts["deferred"] - counts[FailureReason.IS_VIDEO.value]
    photos = counts["samples"] + failed
    if photos >= MIN_PHOTOS and failed > max_ratio * photos:
        reasons: dict[FailureReason, int] = {reason: counts[reason.value] for reason in FailureReason}
        raise TooManyFailuresError(too_many(failed, photos, max_ratio, reasons))


def check_sample(reasons: typing.Mapping[FailureReason, int], photos: int, max_ratio: float) -> None:
    """Judges a few photos from all over the rows: stops only if chance can hardly be to blame (3 sigma).

    Raises:
        TooManyFailuresError: as :func:`check_share`.
    """
    failed = sum(reasons.values())
    allowed = max_ratio + 3 * math.sqrt(max_ratio * (1 - max_ratio) / max(1, photos))
    if failed > allowed * photos:
        raise TooManyFailuresError(too_many(failed, photos, max_ratio, reasons))


def too_many(failed: int, photos: int, max_ratio: float, reasons: typing.Mapping[FailureReason, int]) -> str:
    """Says that too many photos failed, for which reasons, and what to do about the commonest of them.

    Videos that are left out are none of the reasons.

    Example:
        >>> too_many(7, 9, 0.5, {FailureReason.TOO_LARGE: 7})
        '7 of 9 photos failed, more than --max_failure_ratio 0.5: 7 too_large (raise --max_image_bytes)'
    """
    of_photos = collections.Counter({**reasons, FailureReason.IS_VIDEO: 0})
    top = [(reason, number) for reason, number in of_photos.most_common(REASONS_SHOWN) if number]
    told = "; ".join(f"{number:,} {r.value}" + (f" ({_REMEDIES[r]})" if r in _REMEDIES else "") for r, number in top)
    return f"{failed:,} of {photos:,} photos failed, more than --max_failure_ratio {max_ratio}: {told}"
