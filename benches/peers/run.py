#!/usr/bin/env python3
"""This pool beside other clients, on the same server, in one run; prints the tables in Markdown.

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
    "ureq": "ureq",
    "reqwest": "reqwest",
    "aiohttp-30": "aiohttp 30",
    "aiohttp-600": "aiohttp 600",
    "httpx": "httpx",
    "urllib3": "urllib3",
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


# What is told of each row, how it prints, and whether more is better; none where neither is.
FIGURES = {
    "rate": ("Requests a second", "{:.0f}", True),
    "p50": ("Half of the requests took at most, ms", "{:.2f}", False),
    "p99": ("99 % of them, ms", "{:.2f}", False),
    "cpu": ("Processor time of the client for one request, us", "{:.0f}", False),
    "memory": ("Most memory of the client, MB", "{:.0f}", None),
    "connections": ("New connections", "{:.0f}", None),
}


def show(rows, clients):
    """A table for each figure; the best of each row is bold, and what is within 5 % of it."""
    for name, (title, form, more_is_better) in FIGURES.items():
        print(f"\n#### {title}\n")
        print(f"| | {' | '.join(CLIENTS[client] for client in clients)} |")
        print(f"|---|{'---:|' * len(clients)}")
        for row_name, found in rows.items():
            values = {client: found[client][name] for client in clients}
            cells = [
                f"**{form.format(value)}**"
                if is_best(value, values.values(), more_is_better)
                else form.format(value)
                for value in values.values()
            ]
            print(f"| {row_name} | {' | '.join(cells)} |")
    for name in ["rate", "cpu"]:
        title, _, more_is_better = FIGURES[name]
        firsts = [
            is_best(found[OURS][name], (it[name] for it in found.values()), more_is_better)
            for found in rows.values()
            if OURS in found
        ]
        print(f"\n{title}: {OURS} is first or equal in {sum(firsts)} of {len(firsts)} rows.")


def is_best(value, all_values, more_is_better):
    if more_is_better is None:
        return False
    return value >= max(all_values) * 0.95 if more_is_better else value <= min(all_values) * 1.05


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
    rows = {}
    for scheme in ["http", "https"]:
        server = Server(scheme)
        for delay in delays:
            server.ask(f"delay {delay}")
            for in_flight in numbers:
                name = f"{scheme.upper()}, {delay} ms, {in_flight} in flight"
                print(name, file=sys.stderr)
                rows[name] = row(server, clients, in_flight, options.rounds, options.seconds)
        server.stop()
    print("The time in the first column is what the server takes to answer. Bold is the best of a")
    print("row, and what is within 5 % of it.")
    show(rows, clients)


main()
