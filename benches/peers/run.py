#!/usr/bin/env python3
"""This pool beside other clients, on the same server, in one run; prints the table in Markdown.

    benches/peers/run.py [--quick] [--rounds N] [--seconds S] [--only CLIENT,...]

Installs the clients of Python into `benches/peers/target/venv` with pip, and builds those of Rust and the
server. Each client has a process of its own, and so has the server, which says how many connections it saw.
The clients take turns, in `--rounds` rounds (3) of `--seconds` (2) for each row; the figures are the medians.
The machine should have nothing else to do. `--quick` is for seeing that all of it works.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
VENV = HERE / "target" / "venv"
PYTHON = VENV / "bin" / "python"
SERVER = HERE.parent / "compare" / "target" / "release" / "llm-pool-compare"
RUST = HERE / "target" / "release" / "llm-pool-peers"
PACKAGES = ["aiohttp", "httpx", "urllib3"]

OURS = "llm-pool"
CLIENTS = {
    OURS: "llm-pool",
    "ureq": "`ureq::Agent`, shared",
    "reqwest": "`reqwest::blocking`",
    "aiohttp-30": "aiohttp, `limit_per_host` 30",
    "aiohttp-600": "aiohttp, `limit_per_host` 600",
    "httpx": "httpx, asynchronous",
    "urllib3": "urllib3, threads",
}


class Server:
    """The embedded server, in a process of its own."""

    def __init__(self, scheme):
        command = [SERVER, "--as-server", scheme]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.url, pem = self.hear(), ""
        if scheme == "https":
            pem = self.hear().replace("|", "\n")
        self.pem = tempfile.NamedTemporaryFile("w", suffix=".pem")
        self.pem.write(pem)
        self.pem.flush()

    def hear(self):
        return self.process.stdout.readline().strip()

    def ask(self, question):
        self.process.stdin.write(question + "\n")
        self.process.stdin.flush()
        return self.hear()

    def connections(self):
        return int(self.ask("counts").split()[0])

    def stop(self):
        self.process.stdin.close()
        self.process.wait()


def build():
    for folder in [HERE.parent / "compare", HERE]:
        command = ["cargo", "build", "--release", "--quiet", "--manifest-path", folder / "Cargo.toml"]
        # The programs are looked for in their own folders.
        command += ["--target-dir", folder / "target"]
        subprocess.run(command, check=True)
    if not PYTHON.exists():
        venv.create(VENV, with_pip=True)
    subprocess.run([PYTHON, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)


def once(client, server, in_flight, seconds):
    program = [RUST] if client in (OURS, "ureq", "reqwest") else [PYTHON, HERE / "clients.py"]
    before = server.connections()
    command = [*program, client, server.url, server.pem.name, str(in_flight), str(seconds)]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    found = json.loads(output)
    found["connections"] = server.connections() - before
    return found


def row(server, clients, in_flight, rounds, seconds):
    """The medians of each client."""
    found = {client: [] for client in clients}
    for number in range(rounds):
        # Who comes first changes.
        for client in clients[number % len(clients) :] + clients[: number % len(clients)]:
            found[client].append(once(client, server, in_flight, seconds))
    figures = {
        "rate": lambda it: it["requests"] / it["seconds"],
        "p50": lambda it: it["p50"] / 1e3,
        "p99": lambda it: it["p99"] / 1e3,
        "cpu": lambda it: it["cpu"] / it["requests"] * 1e6,
        "memory": lambda it: it["memory"] / 1e3,
        "connections": lambda it: it["connections"],
    }
    return {
        client: {name: statistics.median(map(figure, runs)) for name, figure in figures.items()}
        for client, runs in found.items()
    }


def show(title, found):
    print(f"\n#### {title}\n")
    print("| client | requests/s | p50 ms | p99 ms | CPU us a request | memory MB | connections |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    best_rate = max(it["rate"] for it in found.values())
    best_cpu = min(it["cpu"] for it in found.values())
    for client, it in found.items():
        rate = bold(f"{it['rate']:.0f}", it["rate"] >= best_rate * 0.95)
        cpu = bold(f"{it['cpu']:.0f}", it["cpu"] <= best_cpu * 1.05)
        times = f"{it['p50']:.2f} | {it['p99']:.2f}"
        rest = f"{it['memory']:.0f} | {it['connections']:.0f}"
        print(f"| {CLIENTS[client]} | {rate} | {times} | {cpu} | {rest} |")
    sys.stdout.flush()
    return found.get(OURS, {"rate": best_rate})["rate"] >= best_rate * 0.95, (
        found.get(OURS, {"cpu": best_cpu})["cpu"] <= best_cpu * 1.05
    )


def bold(text, is_best):
    return f"**{text}**" if is_best else text


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one short round of two rows")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--only", default=",".join(CLIENTS), help="these clients, by commas")
    options = parser.parse_args()
    clients = options.only.split(",")
    unknown = [client for client in clients if client not in CLIENTS]
    if unknown or options.rounds < 1 or options.seconds <= 0:
        parser.error(f"clients are {', '.join(CLIENTS)}; rounds and seconds are above zero")
    numbers, delays = [1, 16, 100, 500], [0, 100]
    if options.quick:
        options.rounds, options.seconds, numbers, delays = 1, 0.2, [16], [0]
    build()
    print("Bold: the best of the row, or within 5 % of it.")
    rows = firsts = cheapest = 0
    for scheme in ["http", "https"]:
        server = Server(scheme)
        for delay in delays:
            server.ask(f"delay {delay}")
            for in_flight in numbers:
                found = row(server, clients, in_flight, options.rounds, options.seconds)
                title = f"{scheme.upper()}, answers after {delay} ms, {in_flight} in flight"
                first, cheap = show(title, found)
                rows, firsts, cheapest = rows + 1, firsts + first, cheapest + cheap
        server.stop()
    print(f"\n{CLIENTS[OURS]}: first or equal by requests in {firsts} of {rows} rows, by CPU in {cheapest}")


main()
