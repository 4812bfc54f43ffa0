"""``timeout``: bounds the time of an ``async with`` block, without a task of its own; Python 3.10 lacks it."""

import sys

if sys.version_info >= (3, 11):
    from asyncio import timeout as timeout
else:
    from async_timeout import timeout as timeout
