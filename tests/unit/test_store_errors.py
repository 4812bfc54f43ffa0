"""What is said of servers that cannot be reached."""

import asyncio
import logging

import aiohttp
import pytest
from botocore.exceptions import EndpointConnectionError

from beam_jobs.cli import run_command
from tests.fault_server import closed_port
from transforms.stores.store_errors import network_remedy


async def _ask(url: str) -> None:
    async with aiohttp.ClientSession() as session, session.get(url):
        pass


def test_what_cannot_be_reached_is_told_with_what_to_look_at() -> None:
    with pytest.raises(aiohttp.ClientConnectorError) as raised:
        asyncio.run(_ask(f"http://127.0.0.1:{closed_port()}"))
    for error in (raised.value, EndpointConnectionError(endpoint_url="http://x"), ConnectionRefusedError()):
        assert "check network, name resolution (DNS), firewall and proxy" in network_remedy(error)
    assert network_remedy(FileNotFoundError()) == network_remedy(ValueError("a")) == ""


def test_gcsfs_does_not_log_what_it_raises() -> None:
    assert run_command(lambda: 0) == 0
    assert not logging.getLogger("gcsfs").isEnabledFor(logging.ERROR)
