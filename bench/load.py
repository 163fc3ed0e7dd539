"""A load generator in a process of its own: `python -m bench.load PORT COUNT CONNECTIONS SECONDS`.

It prints one JSON object.
Each connection sends the next signed delivery when the last was answered; it ends after COUNT answers or SECONDS.
"""

import asyncio
import hashlib
import hmac
import json
import sys
import time

PATH = "/hooks/virtuous/bench-door-token"
SECRET = b"bench secret"
SIGNATURE = "x-virtuous-signature"
BODY = json.dumps({"event": "ContactUpdate", "contact": {"id": 1001, "name": "x" * 700}}).encode()


def request() -> bytes:
    """One signed delivery as bytes."""
    signature = hmac.new(SECRET, BODY, hashlib.sha256).hexdigest()
    head = f"POST {PATH} HTTP/1.1\r\nhost: bench\r\n{SIGNATURE}: {signature}\r\ncontent-length: {len(BODY)}\r\n\r\n"
    return head.encode() + BODY


async def load(port: int, count: int, connections: int, seconds: float) -> dict[str, float]:
    """Acks per second and how long they took, in milliseconds."""
    left, took, refused = [count], list[float](), [0]
    began = time.perf_counter()
    deadline = began + seconds

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        sent = request()
        while left[0] > 0 and time.perf_counter() < deadline:
            left[0] -= 1
            at = time.perf_counter()
            writer.write(sent)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            took.append(time.perf_counter() - at)
            refused[0] += not head.startswith(b"HTTP/1.1 200")
        writer.close()

    await asyncio.gather(*(one() for _ in range(connections)))
    spent = time.perf_counter() - began
    took.sort()
    return {
        "acks_per_second": (len(took) - refused[0]) / spent,
        "refused": refused[0],
        "p50_ms": 1000 * took[len(took) // 2],
        "p99_ms": 1000 * took[int(len(took) * 0.99)],
    }


if __name__ == "__main__":
    port, count, connections = (int(word) for word in sys.argv[1:4])
    print(json.dumps(asyncio.run(load(port, count, connections, float(sys.argv[4])))))
