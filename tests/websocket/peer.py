"""A peer for tests/websocket/python.rs, of Python's `websockets`, in its threaded form.

`server PORT_FILE` serves on a free port, which it writes to the file. The path says what a connection
does. `client URL` connects with permessage-deflate offered, prints what was agreed to, and echoes.
"""

import sys
import time

from websockets.exceptions import ConnectionClosed


def serve_one(connection):
    path = connection.request.path
    try:
        if path == "/echo":
            for message in connection:
                connection.send(message)
        elif path == "/fragments":
            # A generator is sent as the frames of one message.
            connection.send(part for part in ["one ", "тво ", "", "three"])
            connection.send(part for part in [b"\x00", b"\xff" * 70000])
            # A ping between two frames is the library's own affair; this one is between messages.
            pong = connection.ping("between")
            assert pong.wait(10), "no pong"
            connection.send("ponged")
            connection.recv(timeout=10)
        elif path.startswith("/close/"):
            connection.close(int(path.split("/")[2]), "as asked")
        elif path == "/closed":
            # Waits for the other side's close and tells the next connection of it.
            try:
                connection.recv(timeout=20)
            except ConnectionClosed as closed:
                seen.append((closed.rcvd.code, closed.rcvd.reason))
        elif path == "/seen":
            until = time.monotonic() + 10
            while not seen and time.monotonic() < until:
                time.sleep(0.01)
            connection.send(repr(seen.pop()))
            connection.recv(timeout=10)
        elif path == "/extensions":
            asked = connection.request.headers.get("Sec-WebSocket-Extensions")
            connection.send(f"asked {asked}, agreed {connection.protocol.extensions}")
            connection.recv(timeout=10)
        elif path == "/large":
            connection.send("x" * 3_000_000)
            connection.recv(timeout=20)
    except ConnectionClosed as closed:
        if path == "/large":
            seen.append((closed.rcvd.code, closed.rcvd.reason))


seen = []


def server(port_file):
    from websockets.sync.server import serve

    # Pings each 0.3 s and hangs up on whom does not answer within 1 s.
    with serve(serve_one, "127.0.0.1", 0, ping_interval=0.3, ping_timeout=1) as it:
        port = it.socket.getsockname()[1]
        with open(port_file + ".part", "w") as file:
            file.write(str(port))
        import os

        os.rename(port_file + ".part", port_file)
        it.serve_forever()


def client(url):
    from websockets.sync.client import connect

    with connect(url, compression="deflate") as connection:
        connection.send(f"agreed {connection.protocol.extensions}")
        try:
            for message in connection:
                connection.send(message)
        except ConnectionClosed:
            pass
        print(connection.close_code, connection.close_reason)


if __name__ == "__main__":
    {"server": server, "client": client}[sys.argv[1]](sys.argv[2])
