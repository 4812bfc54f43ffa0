"""Writes `docs/format.md` from the schemas, constants and records themselves.

python -m schemas.format_doc > docs/format.md
"""

import dataclasses
import inspect
import json
import re
import sys
import typing

import numpy as np
import pyarrow as pa

from schemas import layout
from schemas.annotations import GEOMETRY_COLUMNS
from schemas.doc_tables import column_table, table
from schemas.export_records import EXPORT_RECORD, PARTS, ExportPart, ExportRecord
from schemas.failures import FAILURE_SCHEMA, INPUT_FAILURE_SCHEMA, MAX_DETAIL_CHARS, MAX_RAW_BYTES, FailureReason
from schemas.feature_records import FeaturesRecord
from schemas.photo_ids import CLASS_SALT, KEY_DIGITS, LIMIT_SALT, MAX_FLICKR_ID, hash64, key, shards_of
from schemas.product_doc import product_sections
from schemas.product_records import ProductRecord
from schemas.records import (
    CommitRecord,
    FileDigest,
    Manifest,
    ManifestShard,
    Plan,
    PlanInput,
    PlanRows,
    Tombstone,
    Totals,
)
from schemas.rows import ROW_COLUMNS
from schemas.samples import IMAGE_COLUMNS, SAMPLE_SCHEMA, image_placement, sample_json
from schemas.sources import Source
from schemas.tombstones import TAKEN_DOWN, UNKNOWN
from schemas.videos import MAX_BOXES, STILL_BRANDS, VIDEO_COLUMNS, VIDEO_OFFSET

SELECTION_FLAGS = (*(source.value for source in Source), "split", "where", "classes", "class_evidence",
                   "min_confidence", "per_class_limit", "only_these_classes", "limit")  # fmt: skip
FORMAT_FLAGS = ("base", "samples_per_shard", "image_size", "resize", "upscale", "filter", "format", "quality",
                "reencode", "keep_exif", "min_side", "max_aspect_ratio", "max_pixels", "max_image_bytes",
                "videos", "max_video_bytes")  # fmt: skip
RUN_FLAGS = ("output", "by_split", "images", "mirror", "flickr_fallback", "cache_dir", "concurrency", "timeout_s",
             "deadline_s", "retries", "user_agent", "per_host_rate", "allow_private_hosts", "opt_out_tags",
             "verify_hash", "s3_endpoint_url", "s3_region_name", "s3_access_key_id", "s3_secret_access_key",
             "s3_session_token", "max_failure_ratio", "workers", "runner", "temp_location", "overwrite", "progress",
             "config")  # fmt: skip

FAILURE_DOCS = {
    "photo_id": "The photo; -1 where an input line has no readable id.",
    "key": "Its sample key; null for input lines.",
    "reason": "One of the closed set below.",
    "stage": "Where it happened: `read`, `join`, `fetch`, `decode` or `encode`.",
    "retryable": "Whether the same request may succeed later; decided by the reason alone.",
    "http_status": "Last HTTP status; null if there was no response.",
    "url": "The URL on the first default mirror that knows the photo, whatever mirror was used; null if none does.",
    "detail": f"A sentence from a fixed template, at most {MAX_DETAIL_CHARS} characters.",
    "file": "The input file.",
    "offset": "Byte at which the line begins; in a bz2 file the bit at which its block begins.",
    "offset_in_block": "In a bz2 file the line's first byte within the decoded block; else null.",
    "raw": f"The line, at most {MAX_RAW_BYTES} bytes of it.",
}

REASON_DOCS = {
    FailureReason.MALFORMED_ROW: "An input line of the wrong shape, without a photo id, or not UTF-8.",
    FailureReason.DUPLICATE_PHOTO_ID: "Another line of the same photo, with other content, was kept.",
    FailureReason.UNKNOWN_IMAGE: "An annotation of an image that no source lists.",
    FailureReason.NO_IMAGE_SOURCE: "There is no place to fetch the photo from.",
    FailureReason.IS_VIDEO: "A video, where `--videos` is not given. Videos never count for `--max_failure_ratio`.",
    FailureReason.NOT_FOUND: "HTTP 404, or in none of the places of `--images`.",
    FailureReason.GONE: "HTTP 410.",
    FailureReason.PLACEHOLDER: "Flickr's picture for removed photos.",
    FailureReason.FORBIDDEN: "HTTP 401 or 403, or a file that may not be read. S3 answers so for absent objects too, "
    "to who may not list the bucket.",
    FailureReason.HTTP_ERROR: "Any other HTTP status.",
    FailureReason.INVALID_URL: "No valid http(s) URL.",
    FailureReason.OPTED_OUT: "Refused by `X-Robots-Tag`, `TDM-Reservation` or robots.txt; `detail` says by which.",
    FailureReason.RATE_LIMITED: "HTTP 429.",
    FailureReason.SERVER_ERROR: "HTTP 5xx.",
    FailureReason.DNS_ERROR: "The host name does not resolve.",
    FailureReason.CONNECTION_ERROR: "The connection failed, or the body is shorter than announced.",
    FailureReason.TLS_ERROR: "No trusted TLS connection.",
    FailureReason.TIMEOUT: "No answer within `--timeout_s` or `--deadline_s`.",
    FailureReason.TOO_MANY_REDIRECTS: "More redirects than are followed.",
    FailureReason.BLOCKED_ADDRESS: "A URL of the data, or a redirect, that leads to an address which is not public.",
    FailureReason.TOO_LARGE: "More than `--max_image_bytes`, or for a video `--max_video_bytes`.",
    FailureReason.CHECKSUM_MISMATCH: (
        "Damaged in its archive, or not of the size and md5 that its source states; with `--verify_hash` also of "
        "another hash than its URL has, or another digest than its server states."
    ),
    FailureReason.NOT_AN_IMAGE: "The bytes are of no known image format; of a video, no MP4.",
    FailureReason.TRUNCATED_IMAGE: "The end of the file is missing.",
    FailureReason.CORRUPT_IMAGE: "The file does not decode, or compressed data of a JPEG is damaged or missing.",
    FailureReason.UNSUPPORTED_IMAGE: "A known format, or a variant of one, that is not decoded.",
    FailureReason.TOO_MANY_PIXELS: "More than `--max_pixels`, by the header.",
    FailureReason.TOO_SMALL: "A side, as stored, shorter than `--min_side`.",
    FailureReason.ASPECT_RATIO: "One side, as stored, more than `--max_aspect_ratio` times the other.",
    FailureReason.ENCODE_ERROR: "The image cannot be written in the format.",
}
"""Every reason has a sentence here."""

_VECTOR_IDS = (0, 1, 6_985_418_911, MAX_FLICKR_ID, MAX_FLICKR_ID + 1)
_VECTOR_SHARDS = 1_000
_ROLE = re.compile(r":\w+:`~?([^`]+)`")
_ATTRIBUTE = re.compile(r"^ {4}(\w+): ((?:.+\n?)(?: {6,}.+\n?)*)", re.MULTILINE)


def format_doc() -> str:
    """Returns the whole page."""
    of_photos = (_keys(), _rows(), _samples(), _json(), _videos(), _failures(), _reasons())
    sections = (_intro(), _tree(), *of_photos, _flags(), *product_sections(), _records())
    return "\n\n".join(section.strip() for section in sections) + "\n"


def _intro() -> str:
    return f"""
# The format of a photobeam dataset

Format version {layout.FORMAT_VERSION}. Generated from the code: `python -m schemas.format_doc > docs/format.md`.

For the same inputs, responses, format and selection flags, library versions and CPU architecture, every file of
`rows/`, `shards/`, `videos/` and `failures/[0-9]*.parquet` has the same bytes, whatever the workers, the order of input
lines and the cutting of input files. What may differ stands in `log/`, in the manifest's `run`, and in
the flags that manifest and plan record.
"""


def _tree() -> str:
    files = (
        (layout.PLAN, "what the output is made from; written first, and again when the rows are complete"),
        (layout.rows_file(0), "joined rows of the shard's photos, in KEY order"),
        (layout.tar_file(0), "samples: `KEY.jpg KEY.json KEY.txt`; USTAR, time 0, one owner, mode 0444"),
        (layout.sidecar_file(0), "one row per sample of the tar, same order, with its place in the tar"),
        (layout.idx_file(0), "DALI index v1.2"),
        (layout.SHARD_INDEX, "wids shard index, of the shards that have samples"),
        (layout.video_tar_file(0), "with `--videos`, samples of videos: `KEY.mp4 KEY.json KEY.txt`, otherwise alike"),
        (layout.video_sidecar_file(0), "one row per video of that tar, same order, with its place in the tar"),
        (layout.video_idx_file(0), "DALI index v1.2 of that tar"),
        (layout.VIDEO_INDEX, "wids shard index, of the shards that have videos; always there with `--videos`"),
        (layout.failures_file(0), "one row per photo or video of `rows/` that is in neither tar"),
        (layout.INPUT_FAILURES, "one row per input line that became no row of its own"),
        (layout.commit_file(0), "commit record, written when all files of the shard are in place"),
        (layout.log_file(0), "host, times and attempts of the shard's last run, and what was dropped of its geometry"),
        (layout.NOT_PUBLIC, "ids of photos that are gone, if `reprocess --check_alive` was asked to list them here"),
        (layout.MANIFEST, "the truth, written last"),
        (f"{layout.TMP}/", "everything unfinished, and the lease of the run that holds the output"),
    )
    return f"""
## Files

{table(("file", "holds"), [(f"`{name}`", text) for name, text in files])}

A shard without samples has rows, failures and a commit, but no tar, sidecar or index; so for videos. With `--format`
`webp` or `png` the image member is `KEY.webp` or `KEY.png`; with several sizes there are more of them. `KEY.txt` holds
the first caption that is not lemmatised, else the title, else the description, or is empty.

Input lines = rows + removed by filters + collapsed equal lines + input failures; in every shard
rows = samples + videos + failures. Photos taken down, and the input failures of their lines, count as removed by
filters; `{TAKEN_DOWN}` says how many photos these are, `{UNKNOWN}` how many tombstones are of photos that the dataset
would not have anyway.
"""


def _keys() -> str:
    ids = np.array(_VECTOR_IDS, np.int64)
    hashes = hash64(ids)
    salted = [hash64(ids, salt) for salt in (LIMIT_SALT, CLASS_SALT)]
    vectors = zip(_VECTOR_IDS, shards_of(hashes, _VECTOR_SHARDS), hashes, *salted, strict=True)
    rows = [(str(i), f"`{key(i)}`", *(f"`{h:016x}`" for h in found), str(s)) for i, s, *found in vectors]
    salts = [f"hash64, salt {salt}" for salt in (LIMIT_SALT, CLASS_SALT)]
    head = ("photo_id", "KEY", "hash64", *salts, f"shard of {_VECTOR_SHARDS:,}")
    return f"""
## Keys, hash and shards

KEY is `photo_id`, zero-padded to {KEY_DIGITS} digits. Ids above {MAX_FLICKR_ID} (2^62 - 1) are
surrogates of photos whose Flickr id is not known; they have 19 digits.

`hash64(photo_id, salt = 0)` is output number salt + 1 of SplitMix64 seeded with the id, all modulo 2^64:

```
z = photo_id + (salt + 1) * 0x9E3779B97F4A7C15
z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9
z = (z ^ (z >> 27)) * 0x94D049BB133111EB
hash64 = z ^ (z >> 31)
```

A photo's shard is `floor(hash64(photo_id) * shards / 2^64)`; the number of shards is
ceil(rows / `--samples_per_shard`), fixed at an output's first run. `--limit N` keeps the N photos with the
smallest `hash64(photo_id, salt = {LIMIT_SALT})`, so that they spread over all shards. Before that,
`--per_class_limit N` keeps a photo if for one of the classes it is among the N photos with the smallest
`hash64(photo_id, salt = {CLASS_SALT})` that have it; a class is a name of `--classes`, its subclasses included.

{table(head, rows)}

Sort orders: rows, samples and failures of a shard stand in string order of KEY, shards by number, `sources` and
the manifest's files by name, `warnings` in column order; tags, autotags, exif and places as published.
"""


def _rows() -> str:
    return "## Rows: `rows/NNNNNN.parquet`\n\n" + column_table(ROW_COLUMNS)


def _samples() -> str:
    geometry = ", ".join(f"`{name}`" for name in GEOMETRY_COLUMNS)
    return f"""
## Samples: `KEY.json` and `shards/NNNNNN.parquet`

The columns of the rows, in the same order. Of these, {geometry}
are in pixels of the written image, half-open: the pixel at its upper left covers 0 to 1. They are clipped to it; what
lies outside is left out, areas are those of what is visible, and `warnings` say how much is missing. Then come these:

{column_table(IMAGE_COLUMNS)}

The sidecar has two more:

{column_table(image_placement())}

### Several sizes

With `--image_size 256,512` a sample is `KEY.jpg KEY.512.jpg KEY.json KEY.txt`, in every sample: the first size is the
image of `width` and `height` that annotations are mapped to, and the further ones have two columns each in the sidecar,
`image_512_offset` and `image_512_bytes`, and entries of their own in `transforms`: first come all of size 256, then the
same ones of size 512. The affine from the one written image to the other is the inverse of the first entry of the one
size, followed by the first entry of the other. No size is enlarged without `--upscale`: a photo with a shorter side of
200 px has the same image twice.

All sizes are filtered from the same decoded pixels, so a size has the bytes that it has in a dataset of its own. The
exception are JPEGs so large that the smaller size alone would be decoded at 1/2, 1/4 or 1/8 (with `area` when the photo
is ten times the size or more): then the smaller image is made of more pixels than on its own.
"""


def _videos() -> str:
    return f"""
## Videos: `KEY.json` and `videos/NNNNNN.parquet`

With `--videos` the rows of which `is_video` is true are no photos of `shards/` but samples of `videos/`. Their members
are the video as it was fetched, its JSON by the rules above, and its text. The columns are those of the rows, as
published, and these:

{column_table(VIDEO_COLUMNS)}

The sidecar has one more:

{column_table((VIDEO_OFFSET,))}

A video is a file that begins with an MP4 box `ftyp`, of another brand than those of still images
({", ".join(f"`{brand}`" for brand in STILL_BRANDS)}), and whose boxes fill it to its end; nothing is decoded. Other
files fail: `unsupported_image` for a video in another container, known by its first bytes, `truncated_image` where
it ends within a box, `corrupt_image` where a box is smaller than its header or there are more than {MAX_BOXES:,}, and
else `not_an_image`.
"""


def _json() -> str:
    empty = json.loads(sample_json({f.name: None for f in SAMPLE_SCHEMA}))
    rows = [(f"`{f.name}`", f"`{json.dumps(empty[f.name])}`") for f in SAMPLE_SCHEMA if f.nullable]
    return f"""
## JSON of a sample

Every sample has the same keys with the same types, in schema order. Where Parquet has null, JSON has `""` for strings
and times, `-1` for integers, `-999.0` for floats; lists are empty in both, never null. Times are ISO 8601, floats
always carry a point.

{table(("field", "where nothing is known"), rows)}
"""


def _failures() -> str:
    extra = [f for f in INPUT_FAILURE_SCHEMA if f.name not in FAILURE_SCHEMA.names]
    return (
        "## Failures: `failures/NNNNNN.parquet`\n\n"
        + _field_table(FAILURE_SCHEMA)
        + f"\n\n`{layout.INPUT_FAILURES}` has four more:\n\n"
        + _field_table(extra)
    )


def _reasons() -> str:
    rows = [(f"`{r.value}`", "yes" if r.retryable else "", REASON_DOCS[r]) for r in FailureReason]
    return "## Reasons\n\nThe set is closed: anything else is a bug and fails the run.\n\n" + table(
        ("reason", "retryable", "meaning"), rows
    )


def _flags() -> str:
    kinds = (
        ("selection", SELECTION_FLAGS, "Joins again, and redoes the shards whose rows changed."),
        ("format", FORMAT_FLAGS, "Refused (exit 2) on an output begun with another value, unless `--overwrite`."),
        ("run", RUN_FLAGS, "Never invalidates anything."),
    )
    rows = [(kind, " ".join(f"`--{flag}`" for flag in flags), effect) for kind, flags, effect in kinds]
    return f"""
## Kinds of flags

{table(("kind", "flags", "changed on a second run"), rows)}

Rows are selected in this order: `--split`, `--where`, `--classes`, `--per_class_limit`, `--limit`. `--where` sees a
row with all its annotations; `--only_these_classes` then removes those of other classes, and keeps a relationship if
one side is of the classes.

A photo has a class by `boxes` if a box, a segment or either side of a relationship is of it, whatever their flags; by
`human` if people verified the image label (annotator `verification` or `crowdsource-verification`, confidence 1); by
`machine` if another image label, by `autotags` if an autotag has at least `--min_confidence`. Classes of Open Images
include their subclasses by the hierarchy, parts not among them; categories of COCO have none.

With `--by_split` the datasets below the output are as if made with `--split train`, `validation` and `test`: a photo
that is in one split of one source and in another split of another source is in both, one without a split is in none.

A dataset that `reprocess --output` makes of another one has that one as the only input of its plan: its root hash is
the `fingerprint`, `kind` is `dataset/shards` or `dataset/originals`. Its input lines are the rows of the other; of
those removed, `removed_by_where` and `removed_duplicates` tell which; of `from_originals` photos no image of the other
would do, so that they were fetched, but for duplicates among them.
"""


def _records() -> str:
    records = ((layout.PLAN, Plan), ("", PlanInput), ("", PlanRows), ("", Tombstone),
               ("commits/NNNNNN.json", CommitRecord), ("", FileDigest),
               (layout.MANIFEST, Manifest), ("", ManifestShard), ("", Totals),
               ("features/NNNNNN.json", FeaturesRecord),
               ("text/manifest.json, features/manifest.json", ProductRecord),
               (f"DIR/{EXPORT_RECORD}", ExportRecord), (f"DIR/{PARTS}/NNNNNN.json", ExportPart))  # fmt: skip
    return f"""
## Records

JSON, indented by one, ASCII, with sorted keys and a final newline. `checksum` is the SHA-256 of the same JSON
without that key; `rows_digest` that of the rows file's SHA-256 in hex, followed by the plan's `format` as such JSON;
`root_hash` that of lines `sha256  name`, sorted by name, of all files of `rows/`, `shards/` and `videos/` and the
failures of each shard. Counts of videos are left out of records where they are 0, and a plan's `format` has `videos`
and `max_video_bytes` only with `--videos`: a dataset without videos has the records that it had before there were any.
DIR is the directory of an export.

{(chr(10) * 2).join(_record(file, record) for file, record in records)}
"""


def _record(file: str, record: type[typing.Any]) -> str:
    doc = _plain(inspect.getdoc(record) or "")
    indented = re.sub(r"\A[\s\S]*?(?:Attributes:\n|\Z)", "", doc)
    docs = {name: " ".join(text.split()) for name, text in _ATTRIBUTE.findall(indented)}
    rows = [(f"`{f.name}`", f"`{_type_name(f.type)}`", docs.get(f.name, "")) for f in dataclasses.fields(record)]
    title = f"### `{file}`: {record.__name__}" if file else f"### {record.__name__}"
    return f"{title}\n\n{doc.split(chr(10) + chr(10))[0]}\n\n" + table(("field", "type", "meaning"), rows)


def _type_name(type_: typing.Any) -> str:
    name = type_.__name__ if isinstance(type_, type) and not typing.get_args(type_) else str(type_)
    return re.sub(r"\b(?:typing|schemas\.\w+)\.", "", name).replace(" | ", " or ")


def _plain(text: str) -> str:
    """Turns reStructuredText marks into Markdown's.

    Example:
        >>> _plain("see :func:`rows_digest` of ``format``")
        'see `rows_digest` of `format`'
    """
    return _ROLE.sub(r"`\1`", text).replace("``", "`")


def _field_table(fields: typing.Iterable[pa.Field]) -> str:
    rows = [(f"`{f.name}`", f"`{f.type}`", "yes" if f.nullable else "", FAILURE_DOCS[f.name]) for f in fields]
    return table(("column", "type", "null", "meaning"), rows)


if __name__ == "__main__":
    sys.stdout.write(format_doc())
