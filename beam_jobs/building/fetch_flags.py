"""The flags of fetching."""

import argparse
import dataclasses
import typing

from beam_jobs.command.flags import FlagParser
from transforms.fetch.fetch_options import FetchOptions


def add_fetch_flags(parser: FlagParser) -> None:
    """Adds how images are downloaded."""
    fetch = FetchOptions()
    group = parser.add_argument_group("fetching")
    group.add_argument(
        "--concurrency",
        type=int,
        default=fetch.concurrency,
        metavar="N",
        help="requests at once, a process (%(default)s)",
    )
    group.add_argument("--timeout_s", type=float, default=fetch.timeout_s, metavar="S", help="of silence (%(default)s)")
    group.add_argument(
        "--deadline_s",
        type=float,
        default=fetch.deadline_s,
        metavar="S",
        help="a photo, retries included (%(default)s)",
    )
    group.add_argument("--retries", type=int, default=fetch.retries, metavar="N", help="(%(default)s)")
    group.add_argument("--user_agent", default=fetch.user_agent, help="(%(default)s)")
    group.add_argument(
        "--per_host_rate",
        type=float,
        default=fetch.per_host_rate,
        metavar="N",
        help="requests a second to one host, of the whole job, 0 = off (%(default)s)",
    )
    group.add_argument(
        "--allow_private_hosts",
        action="store_true",
        help="URLs of the data and redirects may lead to private and loopback addresses",
    )
    group.add_argument(
        "--opt_out_tags",
        default=",".join(fetch.opt_out_tags),
        metavar="TAGS",
        help="directives of X-Robots-Tag with which a photo is not taken, or off (%(default)s)",
    )
    group.add_argument(
        "--verify_hash",
        action="store_true",
        help="YFCC's hash must be that of the photo's URL, and a file have the digests that the server states of it",
    )


def fetch_values(flags: argparse.Namespace, workers: int) -> dict[str, typing.Any]:
    """Returns the fields of the fetch options; a rate of the whole job is divided by its processes."""
    values = {f.name: getattr(flags, f.name) for f in dataclasses.fields(FetchOptions)}
    tags = "" if flags.opt_out_tags == "off" else flags.opt_out_tags.lower()
    values["opt_out_tags"] = tuple(tag.strip() for tag in tags.split(",")) if tags else ()
    return values | {"per_host_rate": flags.per_host_rate / workers}
