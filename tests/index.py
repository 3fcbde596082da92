"""A local package index with the pinned releases and the files that a test adds."""

import contextlib
import hashlib
import io
import json
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from scripts.releases import pins

JSON = "application/vnd.pypi.simple.v1+json"


class Index:
    """A package index with the files of projects; tests change its files and answers."""

    def __init__(self) -> None:
        self.files: list[dict[str, Any]] = []
        self.status = 200
        self.type = JSON
        self.body: bytes | None = None
        self.url = ""
        self.contents: dict[str, bytes] = {}
        for release in pins.load_pins():
            for wheel, sha256 in release.wheels.items():
                self.add(wheel, release.time, sha256)

    def add(self, name: str, time: str | None, sha256: str = "b" * 64, **more: Any) -> None:
        file = {"filename": name, "url": f"files/{name}", "hashes": {"sha256": sha256}, **more}
        self.files.append(file if time is None else {**file, "upload-time": time})

    def add_wheel(self, name: str, time: str, members: dict[str, bytes], **more: Any) -> None:
        """Add a wheel that can be downloaded and contains these files."""
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as wheel:
            for member, content in members.items():
                wheel.writestr(member, content)
        self.contents[name] = archive.getvalue()
        self.add(name, time, hashlib.sha256(archive.getvalue()).hexdigest(), **more)

    def add_release(
        self,
        version: str,
        time: str = "2026-11-02T03:04:05.6Z",
        library: bytes = b"\0___register_frame\0",
        **more: Any,
    ) -> None:
        mac = f"wasmtime-{version}-py3-none-macosx_11_0_arm64.whl"
        self.add_wheel(mac, time, {"wasmtime/darwin-aarch64/_libwasmtime.dylib": library}, **more)
        for platform in ("win_amd64", "any", "android_26_x86_64"):
            self.add(f"wasmtime-{version}-py3-none-{platform}.whl", time, **more)
        self.add(f"wasmtime-{version}.tar.gz", time, **more)

    def page(self, project: str = "wasmtime") -> bytes:
        if self.body is not None:
            return self.body
        meta = {"api-version": "1.1"}
        files = [file for file in self.files if file["filename"].startswith(f"{project}-")]
        return json.dumps({"meta": meta, "name": project, "files": files}).encode()

    @contextlib.contextmanager
    def serve(self) -> Iterator[None]:
        """Serve the index on localhost inside the `with` block, and set `url`."""
        index = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(index.status)
                self.send_header("Content-Type", index.type)
                self.end_headers()
                name = self.path.rstrip("/").rpartition("/")[2]
                content = index.contents.get(name)
                self.wfile.write(index.page(name) if content is None else content)

            def log_message(self, *_: Any) -> None:
                pass

        with HTTPServer(("127.0.0.1", 0), Handler) as server:
            thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
            thread.start()
            self.url = f"http://127.0.0.1:{server.server_port}/simple"
            yield
            server.shutdown()
