"""Many streams at once, each exact; bench/load.py measures the same with more of them."""

import asyncio
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))
import load  # noqa: E402

pytestmark = pytest.mark.timeout(120)


@pytest.mark.parametrize("tls", [False, True], ids=["http1", "tls-http2"])
def test_200_streams_are_exact(tls):
    """Goal: no event is lost, doubled, changed or given to another stream."""
    result = load.with_proxy(load.measure_streams, 200, 40, 40, tls=tls)
    print(result)
    assert result["wrong_streams"] == 0


def test_a_changed_stream_is_noticed():
    """Goal: the comparison above can fail."""
    head = b"HTTP/1.1 200 OK\r\n\r\n"
    whole = head + b"5\r\na: b\n\r\n1\r\n\n\r\n0\r\n\r\n"
    assert load.events([whole]) == [b"a: b"]
    assert load.events([whole[:-1]]) is None
    assert load.events([whole + b"0"]) is None
    assert load.events([head + b"5\r\na: b\n\r\n0\r\n\r\n"]) is None
    assert load.events([whole.replace(b"a: b", b"a: c")]) != [b"a: b"]


def test_open_streams_stay_open_and_are_closed():
    result = load.with_proxy(load.measure_idle, 200)
    print(result)
    assert result["wrong_streams"] == 0


def test_a_client_that_goes_takes_the_upstream_with_it():
    result = asyncio.run(load.measure_cancel(50))
    print(result)
    assert result["cancel_ms_p50"] <= 100
