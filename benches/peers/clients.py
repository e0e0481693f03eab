"""One client of Python under load, in a process of its own: `clients.py CLIENT URL PEM_FILE IN_FLIGHT
SECONDS`. Does and prints what `src/main.rs` does for clients of Rust."""

import asyncio
import json
import resource
import ssl
import sys
import threading
import time

TOTAL_TIMEOUT = 60


def context(url, pem):
    return ssl.create_default_context(cafile=pem) if url.startswith("https") else None


class Measured:
    """From the moment that all have asked twice."""

    def __init__(self):
        self.took = []

    def begin(self):
        self.cpu, self.began = cpu(), time.perf_counter()

    def end(self):
        seconds, used = time.perf_counter() - self.began, cpu() - self.cpu
        took = sorted(self.took)
        at = lambda share: int(took[int(len(took) * share)] * 1e6)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        figures = {"requests": len(took), "seconds": seconds, "p50": at(0.5), "p99": at(0.99)}
        print(json.dumps(figures | {"cpu": used, "memory": memory}))


def cpu():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def in_tasks(ask, in_flight, seconds):
    """As many tasks as requests are in flight. `ask` returns the length of an answer."""

    async def twice():
        await ask()
        await ask()

    await asyncio.gather(*(twice() for _ in range(in_flight)))
    measured, over = Measured(), False

    async def again_and_again():
        while not over:
            began = time.perf_counter()
            assert await ask() > 0
            measured.took.append(time.perf_counter() - began)

    measured.begin()
    tasks = [asyncio.create_task(again_and_again()) for _ in range(in_flight)]
    await asyncio.sleep(seconds)
    over = True
    await asyncio.gather(*tasks)
    measured.end()


async def aiohttp_client(url, pem, in_flight, seconds, per_host):
    import aiohttp

    connector = aiohttp.TCPConnector(limit=0, limit_per_host=per_host, ssl=context(url, pem) or True)
    timeout = aiohttp.ClientTimeout(total=TOTAL_TIMEOUT)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:

        async def ask():
            async with session.get(url) as answer:
                assert answer.status == 200
                return len(await answer.read())

        await in_tasks(ask, in_flight, seconds)


async def httpx_client(url, pem, in_flight, seconds):
    import httpx

    limits = httpx.Limits(max_connections=in_flight, max_keepalive_connections=in_flight)
    verify = context(url, pem) or True
    async with httpx.AsyncClient(
        limits=limits, timeout=TOTAL_TIMEOUT, verify=verify, trust_env=False
    ) as client:

        async def ask():
            answer = await client.get(url)
            assert answer.status_code == 200
            return len(answer.content)

        await in_tasks(ask, in_flight, seconds)


def urllib3_client(url, pem, in_flight, seconds):
    import urllib3

    pool = urllib3.PoolManager(
        maxsize=in_flight, block=True, timeout=TOTAL_TIMEOUT, ssl_context=context(url, pem)
    )

    def ask():
        answer = pool.request("GET", url)
        assert answer.status == 200
        return len(answer.data)

    measured, over = Measured(), threading.Event()
    ready = threading.Barrier(in_flight + 1)

    def again_and_again():
        ask()
        ask()
        ready.wait()
        took = []
        while not over.is_set():
            began = time.perf_counter()
            assert ask() > 0
            took.append(time.perf_counter() - began)
        measured.took.extend(took)

    threading.stack_size(512 * 1024)
    threads = [threading.Thread(target=again_and_again) for _ in range(in_flight)]
    for thread in threads:
        thread.start()
    ready.wait()
    measured.begin()
    time.sleep(seconds)
    over.set()
    for thread in threads:
        thread.join()
    measured.end()


def main():
    client, url, pem, in_flight, seconds = sys.argv[1:]
    url, in_flight, seconds = f"{url}/v1/models", int(in_flight), float(seconds)
    if client == "urllib3":
        return urllib3_client(url, pem, in_flight, seconds)
    if client == "httpx":
        return asyncio.run(httpx_client(url, pem, in_flight, seconds))
    per_host = int(client.removeprefix("aiohttp-"))
    return asyncio.run(aiohttp_client(url, pem, in_flight, seconds, per_host))


main()
