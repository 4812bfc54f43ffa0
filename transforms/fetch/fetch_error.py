"""The failure to fetch a photo."""

from schemas.failures import FailureReason, PhotoError, Stage


class FetchError(PhotoError):
    """A photo that could not be fetched.

    Attributes:
        attempts: requests made for it, at least 1.
        retry_after_s: how long the server asked to wait; None if it did not say.
        host_is_ailing: nothing was asked, since its host fails all others; asking again at once is of no use.
    """

    def __init__(self, reason: FailureReason, stage: Stage, detail: str, http_status: int = -1):
        super().__init__(reason, stage, detail, http_status)
        self.attempts = 1
        self.retry_after_s: float | None = None
        self.host_is_ailing = False


def too_large(max_bytes: int, http_status: int = -1, flag: str = "max_image_bytes") -> FetchError:
    """Returns the failure of a photo whose file is over the cap that a flag sets."""
    detail = f"more than --{flag} {max_bytes}"
    return FetchError(FailureReason.TOO_LARGE, Stage.FETCH, detail, http_status)


def damaged() -> FetchError:
    """Returns the failure of a photo whose archive does not give it."""
    detail = "the file is damaged in its archive, or packed by an unknown method"
    return FetchError(FailureReason.CHECKSUM_MISMATCH, Stage.FETCH, detail)
