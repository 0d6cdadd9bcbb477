"""Sends a file with the tus client of PyPI, some bytes, then the rest from another client; run in its own environment."""

from __future__ import annotations

import sys

from tusclient import client


def main() -> None:
    url, key, path = sys.argv[1:]
    headers = {"apikey": key} if key != "-" else {}
    first = client.TusClient(f"{url}/uploads", headers=headers).uploader(
        path, chunk_size=1_000_000, metadata={"filetype": "image/png"}
    )
    first.upload_chunk()
    again = client.TusClient(f"{url}/uploads", headers=headers).uploader(
        path, chunk_size=1_000_000, url=first.url, upload_checksum=False
    )
    again.upload()
    print(first.url, again.offset)  # for who started this


if __name__ == "__main__":
    main()
