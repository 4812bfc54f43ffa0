"""The flags of `build` and `join`, with the defaults of the options they fill."""

import argparse
import functools
import glob
import os
import pathlib
import typing

from beam_jobs.building.fetch_flags import fetch_values
from beam_jobs.building.image_flags import NO_IMAGES, ImageStep, image_values, video_cap
from beam_jobs.command.errors import UsageError
from beam_jobs.command.flags import FlagParser, positive, ratio
from beam_jobs.command.progress_line import PROGRESS
from beam_jobs.command.store_flags import SECRET_FLAGS, s3_options
from beam_jobs.runners.runner_flags import add_runner_flags, runner_config
from schemas.published_sets import PUBLISHED_ROOTS, parse_published
from schemas.sources import ALL_SOURCES, Source, default_base
from transforms.fetch.env_proxies import env_proxies
from transforms.fetch.fetch_options import FetchOptions
from transforms.fetch.flickr_requests import REQUESTS_PER_S
from transforms.files.publish import OutputError
from transforms.files.url_credentials import without_credentials
from transforms.images.image_plan import ImageOptions
from transforms.places.image_places import AUTO, PlacesConfig
from transforms.sources.fetch_published import PublishedPlaces
from transforms.sources.find_yfcc import stated_pack
from transforms.stores.dataset_files import NoDatasetError
from transforms.stores.open_output import open_output
from transforms.stores.output import Output
from transforms.stores.request_signers import S3Options
from transforms.stores.scratch import TEMP_FLAG

SAMPLES_PER_SHARD = 10_000
MAX_FAILURE_RATIO = 0.5
_DOWNLOAD_FLAGS = ("timeout_s", "retries", "user_agent")
"""Flags of fetching that also shape the download of published sets."""

_PATHS_HELP = ": files, directories, globs, URLs"
_SOURCE_HELP = {
    Source.YFCC: "YFCC packs (dataset, autotags, exif, places, hash), bz2 or plain; PACK=PATH states what a file is",
    Source.COCO: "COCO JSON of any kind and year, or the zip that holds it; or a published set: 2017:val, 2014",
    Source.OPEN_IMAGES: "Open Images CSV, JSON and JSONL, V4 to V7; or a published set: v7:validation, v6",
    Source.FLICKR8K: "Flickr8k token and lemma files, Kaggle's captions.txt, split lists, ratings",
}


def add_source_flags(parser: FlagParser) -> None:
    """Adds what is read, and where the rows go."""
    group = parser.add_argument_group("sources and output")
    for source, files in _SOURCE_HELP.items():
        group.add_argument(
            f"--{source.value}",
            type=functools.partial(_in_full, source),
            nargs="+",
            action="extend",
            default=[],
            metavar="P",
            help=f"{files}{_PATHS_HELP}",
        )
    group.add_argument(
        "--base",
        choices=[*(source.value for source in Source), ALL_SOURCES],
        default="",
        help="whose photos make the dataset, the other sources enrich them (the first of these that is given)",
    )
    group.add_argument(
        "--output",
        required=True,
        metavar="URL",
        help="where the dataset goes: local path, s3://, gs://, any fsspec URL",
    )
    group.add_argument(
        "--samples_per_shard", type=positive, default=SAMPLES_PER_SHARD, metavar="N", help="(%(default)s)"
    )


def _in_full(source: Source, spec: str) -> str:
    """Returns an input as workers and later commands find it; names of published sets, and what is not here, stay."""
    pack, url = stated_pack(spec) if source is Source.YFCC else (None, spec)
    member, separator, path = url.rpartition("::")
    local = os.path.expanduser(path)
    is_here = "://" not in path and (os.path.exists(local) or glob.has_magic(local))
    if is_here and not _is_published(source, path):
        url = f"{member}{separator}{os.path.abspath(local)}"
    return f"{pack.value}={url}" if pack else url


def _is_published(source: Source, text: str) -> bool:
    try:
        return parse_published(source, text) is not None
    except ValueError:
        return True


def add_run_flags(parser: FlagParser) -> None:
    """Adds what changes how a run goes, and nothing in its output."""
    group = add_worker_flags(parser)
    group.add_argument(
        "--cache_dir", default="", metavar="DIR", help="where published sets are kept (~/.cache/photobeam)"
    )
    group.add_argument("--overwrite", action="store_true", help="start again, dropping what is there")


def add_worker_flags(parser: FlagParser) -> argparse._ArgumentGroup:
    """Adds where the work is done and how it is followed."""
    group = parser.add_argument_group("run")
    group.add_argument(
        "--workers", type=positive, metavar="N", help="processes (number of cores; of slots on a Flink cluster)"
    )
    add_runner_flags(parser, group)
    group.add_argument(
        TEMP_FLAG,
        default="",
        metavar="URL",
        help="where workers share what is unfinished: local folder, s3://, gs://, any fsspec URL (below the output)",
    )
    group.add_argument("--progress", choices=("auto", "json", "none"), default=PROGRESS, help="(%(default)s)")
    return group


def add_failure_flag(parser: FlagParser) -> None:
    """Adds when a finished build counts as failed."""
    parser.add_argument(
        "--max_failure_ratio",
        type=ratio,
        default=MAX_FAILURE_RATIO,
        metavar="R",
        help="exit 1 if more of the photos fail, videos left out; after 1,000 photos the run stops there (%(default)s)",
    )


def sources(flags: argparse.Namespace) -> dict[Source, tuple[str, ...]]:
    """Returns the paths of each source that is given.

    Raises:
        UsageError: none is.
    """
    given = {source: getattr(flags, source.value) for source in Source if getattr(flags, source.value)}
    if not given:
        raise UsageError(f"no source is given: name one of {', '.join(f'--{s.value}' for s in Source)}")
    return {source: tuple(printable(f"--{source.value}", path) for path in paths) for source, paths in given.items()}


def base(flags: argparse.Namespace) -> str:
    """Returns whose photos make the dataset: a source, or ``all``."""
    return str(flags.base) or default_base(sources(flags)).value


def image_step(flags: argparse.Namespace) -> ImageStep | None:
    """Returns what happens to the images; None with ``--images none``.

    Raises:
        UsageError: a value out of range.
    """
    specs = tuple(flags.images or (AUTO,))
    if NO_IMAGES in specs:
        if len(specs) > 1:
            raise UsageError("--images none stands alone; leave it out, or the other places")
        if flags.videos:
            raise UsageError("--videos has no effect with --images none: leave one out")
    image, workers = _checked(ImageOptions, image_values(flags)), runner_config(flags).workers
    fetch = _checked(FetchOptions, fetch_values(flags, workers))
    if NO_IMAGES in specs:
        return None
    _checked(env_proxies, {})
    return ImageStep(
        image=image,
        fetch=fetch,
        places=_checked(
            PlacesConfig,
            {
                "images": specs,
                "mirrors": _mirrors(flags.mirror),
                "base": base(flags),
                "with_coco": bool(flags.coco),
                "flickr_requests_per_s": REQUESTS_PER_S / workers if flags.flickr_fallback else 0.0,
                "s3": s3_options(vars(flags)),
                "fetch": fetch,
            },
        ),
        max_video_bytes=video_cap(flags),
    )


def _mirrors(values: list[str]) -> tuple[tuple[str, str], ...]:
    """Reads SOURCE=URL; of several for one source the last counts."""
    pairs = [value.partition("=")[::2] for value in values]
    return tuple(sorted({source: root.rstrip("/") for source, root in pairs}.items()))


def published_places(flags: argparse.Namespace) -> PublishedPlaces:
    """Returns where published sets come from and where they are kept.

    Raises:
        UsageError: a value out of range.
    """
    given = vars(flags)
    fetch = {name: given[name] for name in _DOWNLOAD_FLAGS if name in given}
    mirrors = dict(_mirrors(flags.mirror))
    roots = {source.value: mirrors[source.value] for source in PUBLISHED_ROOTS if source.value in mirrors}
    folder = printable("--cache_dir", flags.cache_dir) if flags.cache_dir else _default_cache_dir()
    cache_dir = pathlib.Path(folder).expanduser().absolute()
    return _checked(PublishedPlaces, {"cache_dir": cache_dir, "roots": roots, "fetch": _checked(FetchOptions, fetch)})


def _default_cache_dir() -> str:
    return os.path.join(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "photobeam")


def output(flags: argparse.Namespace) -> Output:
    """Returns where the dataset goes.

    Raises:
        UsageError: it cannot be opened.
    """
    return output_at("--output", flags.output, s3_options(vars(flags)))


def temp_location(flags: typing.Mapping[str, typing.Any]) -> Output | None:
    """Returns where workers share what is unfinished; None for the default.

    Args:
        flags: by name; those that are left out count as not given.

    Raises:
        UsageError: it cannot be opened.
    """
    place = flags.get("temp_location", "")
    return output_at(TEMP_FLAG, place, s3_options(flags)) if place else None


def output_at(flag: str, place: str, s3: S3Options) -> Output:
    """Returns the output at a place that a flag names.

    Raises:
        UsageError: it cannot be opened.
    """
    try:
        return open_output(printable(flag, place), s3, flag)
    except NoDatasetError as error:
        raise UsageError(f"{flag} {error}") from error
    except OutputError as error:
        raise UsageError(str(error)) from error


def printable(flag: str, path: str) -> str:
    """Returns a path that can be written into a record as it is.

    Raises:
        UsageError: it is empty, or not valid in the encoding of file names.
    """
    try:
        path.encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"{flag} {path!r} is not valid UTF-8; rename it, or set PYTHONUTF8=1") from error
    if not path:
        raise UsageError(f"{flag} is empty; name a path")
    return path


def published_flags(flags: argparse.Namespace) -> dict[str, typing.Any]:
    """Returns the flags as plan and manifest may say them: without keys, and without passwords and signatures in URLs.

    Those of Beam's runners say nothing of the dataset, and may hold whatever a worker's environment has to.
    """
    left_out = SECRET_FLAGS | {"config", "runner_options"}
    kept = {name: value for name, value in vars(flags).items() if name not in left_out}
    return {name: value if name == "where" else _bare(value) for name, value in kept.items()}


def _bare(value: typing.Any) -> typing.Any:
    if isinstance(value, list):
        return [_bare(item) for item in value]
    return without_credentials(value) if isinstance(value, str) else value


def _checked(make: typing.Callable[..., typing.Any], values: dict[str, typing.Any]) -> typing.Any:
    try:
        return make(**values)
    except ValueError as error:
        raise UsageError(str(error)) from error
