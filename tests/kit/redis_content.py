"""Everything that a Redis holds, as bytes by key, whatever kind of thing it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import redis

_READ: Mapping[bytes, Callable[[Any, bytes], Any]] = {
    b"string": lambda client, key: client.get(key),
    b"hash": lambda client, key: client.hgetall(key),
    b"list": lambda client, key: client.lrange(key, 0, -1),
    b"set": lambda client, key: client.smembers(key),
    b"zset": lambda client, key: client.zrange(key, 0, -1, withscores=True),
    b"stream": lambda client, key: client.xrange(key),
}


def content_by_key(url: str) -> Iterator[tuple[str, bytes]]:
    """Each key's name with what is there."""
    with redis.Redis.from_url(url, protocol=2) as client:
        for key in client.scan_iter():
            kind = client.type(key)
            yield key.decode(), b"" if kind == b"none" else repr(_READ[kind](client, key)).encode()
