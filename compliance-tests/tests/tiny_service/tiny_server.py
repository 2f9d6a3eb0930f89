"""A server of one number, which it keeps in a file: ``add`` counts and tells it.

What it is told not to do it does not: ``never`` listen, or stay alive (``dies``).
"""

import asyncio
import sys
from pathlib import Path


async def main(port: int, directory: Path, *how: str) -> None:
    sys.stdout.write("started\n")
    sys.stdout.flush()
    with (directory.parent / "tiny-starts").open("a") as starts:
        starts.write(f"{directory}\n")
    if "dies" in how:
        sys.exit("something is wrong with secret=swordfish-77")
    if "never" in how:
        await asyncio.sleep(600)
    kept = directory / "number"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readline():
            number = int(kept.read_text()) + 1 if kept.exists() else 1
            kept.write_text(str(number))
            writer.write(b"%d\n" % number)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", port)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:]))
