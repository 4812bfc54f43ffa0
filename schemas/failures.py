"""Why a photo or an input line is not in the dataset: a closed set of reasons, and their tables."""

import enum
import typing

import pyarrow as pa

MAX_DETAIL_CHARS = 500
MAX_RAW_BYTES = 2048


class FailureReason(str, enum.Enum):
    """Every reason there is. Anything else is a bug and fails the run."""

    MALFORMED_ROW = "malformed_row"
    DUPLICATE_PHOTO_ID = "duplicate_photo_id"
    UNKNOWN_IMAGE = "unknown_image"
    NO_IMAGE_SOURCE = "no_image_source"
    IS_VIDEO = "is_video"
    NOT_FOUND = "not_found"
    GONE = "gone"
    PLACEHOLDER = "placeholder"
    FORBIDDEN = "forbidden"
    HTTP_ERROR = "http_error"
    INVALID_URL = "invalid_url"
    OPTED_OUT = "opted_out"
    RATE_LIMITED = "rate_limited"
    SERVER_ERROR = "server_error"
    DNS_ERROR = "dns_error"
    CONNECTION_ERROR = "connection_error"
    TLS_ERROR = "tls_error"
    TIMEOUT = "timeout"
    TOO_MANY_REDIRECTS = "too_many_redirects"
    BLOCKED_ADDRESS = "blocked_address"
    TOO_LARGE = "too_large"
    CHECKSUM_MISMATCH = "checksum_mismatch"
    NOT_AN_IMAGE = "not_an_image"
    TRUNCATED_IMAGE = "truncated_image"
    CORRUPT_IMAGE = "corrupt_image"
    UNSUPPORTED_IMAGE = "unsupported_image"
    TOO_MANY_PIXELS = "too_many_pixels"
    TOO_SMALL = "too_small"
    ASPECT_RATIO = "aspect_ratio"
    ENCODE_ERROR = "encode_error"

    @property
    def retryable(self) -> bool:
        """Whether the same request may succeed later."""
        return self in _RETRYABLE


_RETRYABLE = frozenset(
    {
        FailureReason.RATE_LIMITED,
        FailureReason.SERVER_ERROR,
        FailureReason.DNS_ERROR,
        FailureReason.CONNECTION_ERROR,
        FailureReason.TLS_ERROR,
        FailureReason.TIMEOUT,
    }
)


class Stage(str, enum.Enum):
    """Where a failure happened."""

    READ = "read"
    JOIN = "join"
    FETCH = "fetch"
    DECODE = "decode"
    ENCODE = "encode"


class Failure(typing.NamedTuple):
    """Why one photo is not in its shard's tar.

    Equal inputs and responses give equal failures: no attempt counts, times or hosts here.

    Attributes:
        photo_id: the photo; -1 where an input line has no readable id.
        reason: one of the closed set.
        stage: where it happened.
        http_status: last HTTP status, -1 if there was no response.
        url: the default mirror's URL of the photo, '' if it has none.
        detail: a sentence from a fixed template, at most 500 characters.
    """

    photo_id: int
    reason: FailureReason
    stage: Stage
    http_status: int = -1
    url: str = ""
    detail: str = ""


class AccountingError(RuntimeError):
    """Lines or rows were lost or made up: a bug."""


class PhotoError(Exception):
    """An expected failure of one photo; becomes a row of ``failures/``.

    Attributes:
        reason, stage, http_status, detail: as in :class:`Failure`.
    """

    def __init__(self, reason: FailureReason, stage: Stage, detail: str, http_status: int = -1):
        super().__init__(reason, stage, detail, http_status)
        self.reason = reason
        self.stage = stage
        self.detail = detail[:MAX_DETAIL_CHARS]
        self.http_status = http_status

    def __str__(self) -> str:
        return f"{self.reason.value}: {self.detail}"


FAILURE_SCHEMA = pa.schema(
    [
        pa.field("photo_id", pa.int64(), nullable=False),
        pa.field("key", pa.string()),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("stage", pa.string(), nullable=False),
        pa.field("retryable", pa.bool_(), nullable=False),
        pa.field("http_status", pa.int32()),
        pa.field("url", pa.string()),
        pa.field("detail", pa.string()),
    ]
)
"""Schema of ``failures/NNNNNN.parquet``: one row per photo of ``rows/`` that is not in the tar."""

INPUT_FAILURE_SCHEMA = pa.schema(
    [
        *FAILURE_SCHEMA,
        pa.field("file", pa.string(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("offset_in_block", pa.int64()),
        pa.field("raw", pa.binary(), nullable=False),
    ]
)
"""Schema of ``failures/input.parquet``: one row per input line that became no row of its own.

``offset`` is the byte at which the line begins; in a bz2 file the bit at which its block begins,
and then ``offset_in_block`` is the line's first byte within the decoded block.
"""


def failure_columns(failure: Failure, photo_key: str | None) -> dict[str, typing.Any]:
    """Returns the failure as a row of :data:`FAILURE_SCHEMA`, null where nothing is known."""
    return {
        "photo_id": failure.photo_id,
        "key": photo_key,
        "reason": failure.reason.value,
        "stage": failure.stage.value,
        "retryable": failure.reason.retryable,
        "http_status": failure.http_status if failure.http_status >= 0 else None,
        "url": failure.url or None,
        "detail": failure.detail[:MAX_DETAIL_CHARS] or None,
    }


def failure_of(row: typing.Mapping[str, typing.Any]) -> Failure:
    """Returns a row of :data:`FAILURE_SCHEMA` as a failure."""
    return Failure(
        row["photo_id"],
        FailureReason(row["reason"]),
        Stage(row["stage"]),
        -1 if row["http_status"] is None else row["http_status"],
        row["url"] or "",
        row["detail"] or "",
    )
