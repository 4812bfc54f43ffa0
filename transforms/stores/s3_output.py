"""Datasets on S3: every object appears with its last byte, and preconditions keep runs apart."""

import datetime
import email.utils
import logging
import pathlib
import typing

from schemas import layout
from transforms.stores.store_errors import as_os_errors
from transforms.stores.store_output import PART_BYTES, ChangedError, ObjectOutput

_log = logging.getLogger("photobeam")

FOREIGN_UPLOAD_AGE = datetime.timedelta(days=1)
"""Unfinished uploads below the output that are no file of a dataset go when they are older, by the store's clock."""

_PARTS_AT_ONCE = 2
_OWN_NAMES = frozenset({*layout.SHARD_FOLDERS, layout.TMP, layout.PLAN, layout.MANIFEST})
_CHANGED = ("PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey", "412", "409")


class S3Output(ObjectOutput):
    """A dataset on S3: an object appears with its last byte, sent at once or in parts."""

    token_field = "ETag"

    def sweep(self) -> None:
        """Ends unfinished uploads, too: those of dataset files at once, others when they are old."""
        super().sweep()
        try:
            for upload in self._unfinished_uploads():
                self._fs.call_s3(
                    "abort_multipart_upload", Bucket=self._bucket, Key=upload["Key"], UploadId=upload["UploadId"]
                )
        except OSError as error:
            _log.warning("--output %s: unfinished uploads of earlier runs cannot be ended (%s)", self, error)

    def swap(self, name: str, data: bytes, token: str | None) -> str:
        """By `If-Match`, or `If-None-Match: *`."""
        condition = {"IfMatch": token} if token else {"IfNoneMatch": "*"}
        try:
            with as_os_errors():
                answer = self._fs.call_s3(
                    "put_object", Bucket=self._bucket, Key=self._key(name), Body=data, **condition
                )
        except OSError as error:
            if _s3_code(error) in _CHANGED:
                raise ChangedError(name) from error
            raise
        return str(answer["ETag"])

    def _unfinished_uploads(self) -> typing.Iterator[dict[str, typing.Any]]:
        prefix, marker = self._key(""), dict[str, str]()
        while True:
            page = self._fs.call_s3("list_multipart_uploads", Bucket=self._bucket, Prefix=prefix, **marker)
            now = email.utils.parsedate_to_datetime(page["ResponseMetadata"]["HTTPHeaders"]["date"])
            for upload in page.get("Uploads", ()):
                is_own = upload["Key"].removeprefix(prefix).partition("/")[0] in _OWN_NAMES
                if is_own or now - upload["Initiated"] > FOREIGN_UPLOAD_AGE:
                    yield upload
            if not page.get("IsTruncated"):
                return
            marker = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}

    def _upload(self, staged: pathlib.Path, name: str) -> None:
        self._fs.put_file(str(staged), self._path(name), chunksize=PART_BYTES, max_concurrency=_PARTS_AT_ONCE)

    @property
    def _bucket(self) -> str:
        return self._root.partition("/")[0]

    def _key(self, name: str) -> str:
        return self._path(name).partition("/")[2]


def _s3_code(error: OSError) -> str:
    answer = getattr(error.__cause__, "response", None) or {}
    return str(answer.get("Error", {}).get("Code", ""))
