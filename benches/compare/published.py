"""Drives the published client of the family, esper-py-client, by commands on standard input.

Each answer is a line of numbers, in seconds: `decide N` and `tell N` answer wall time and CPU time
of all calls, `run CALLERS CALLS` the time of all calls and what 99 of 100 stay below.
"""

import asyncio
import sys
import time

from esper import AsyncEsperClient, BeaconEvent, EsperClient, EsperConfig, MitigationRequest

BROWSER = "Mozilla/5.0 (X11; Linux x86_64)"
WORDS = {"ip": "203.0.113.7", "user_agent": BROWSER, "path": "/checkout", "method": "POST"}
REQUEST = MitigationRequest(**WORDS)
EVENT = BeaconEvent(type="http_request", timestamp=1_700_000_000_000, **WORDS)


def main(url, key):
    config = EsperConfig(api_key=key, api_url=url, beacon_url=url)
    client = EsperClient(config)
    print("ready", flush=True)
    for line in sys.stdin:
        command, *numbers = line.split()
        numbers = [int(number) for number in numbers]
        if command == "decide":
            seen = timed(numbers[0], lambda: decide(client))
        elif command == "tell":
            seen = timed(numbers[0], lambda: client.send_beacon_event(EVENT))
        else:
            seen = asyncio.run(run(config, *numbers))
        print(*seen, flush=True)


def timed(calls, call):
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(calls):
        call()
    return time.perf_counter() - wall, time.process_time() - cpu


def decide(client):
    assert client.check_mitigation(REQUEST).action == "allow"


async def run(config, callers, calls):
    times = []

    async def one(client, calls, times):
        for _ in range(calls):
            started = time.perf_counter()
            assert (await client.check_mitigation(REQUEST)).action == "allow"
            times.append(time.perf_counter() - started)

    async with AsyncEsperClient(config) as client:
        # The first round opens the connections, and is not counted.
        await asyncio.gather(*(one(client, 1, []) for _ in range(callers)))
        started = time.perf_counter()
        await asyncio.gather(*(one(client, calls, times) for _ in range(callers)))
        elapsed = time.perf_counter() - started
    return elapsed, sorted(times)[(len(times) - 1) * 99 // 100]


main(*sys.argv[1:])
