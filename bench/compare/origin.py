"""The origin behind all three: 1.5 KB for every path, under /slow/ after a second. It counts what it is asked."""

import asyncio
import sys

BODY = b"{" + b'"a": 1, ' * 187 + b'"z": 0}'
REPLY = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nCache-Control: max-age=3600\r\n"
    b"Content-Length: %d\r\n\r\n%s"
)
SLOW = 1.0

asked = {}


async def serve(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            path = head.split(b" ", 2)[1]
            if path.startswith(b"/count"):
                body = b"%d" % asked.get(path.removeprefix(b"/count"), 0)
            else:
                asked[path] = asked.get(path, 0) + 1
                body = BODY
            if path.startswith(b"/slow/"):
                await asyncio.sleep(SLOW)
            writer.write(REPLY % (len(body), body))
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]), backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
