"""A mail server that takes every message and keeps none: `python -m tests.benchmarks.mail_sink PORT`."""

import asyncio
import sys


async def _converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    def say(line: bytes) -> None:
        writer.write(line + b"\r\n")

    say(b"220 sink")
    try:
        while line := await reader.readline():
            word = line[:4].upper()
            if word == b"EHLO":  # and knows what nearly every server does
                say(b"250-sink\r\n250 PIPELINING")
            elif word == b"DATA":
                say(b"354 go on")
                while await reader.readline() not in (b".\r\n", b""):
                    pass
                say(b"250 taken")
            elif word == b"QUIT":
                say(b"221 bye")
                break
            else:
                say(b"250 sink")
    except ConnectionError:
        pass
    writer.close()


async def main(port: int) -> None:
    server = await asyncio.start_server(_converse, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
