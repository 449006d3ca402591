"""A real DICOM archive for tests: an Orthanc server of Debian's, with its DICOMweb plugin, on free ports."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import requests

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
TITLE = "ORTHANC"
START_SECONDS = 30


@dataclass(frozen=True)
class Archive:
    """A running server: its ports, and the address of its DICOMweb services."""

    http_port: int
    dicom_port: int

    @property
    def web(self) -> str:
        return f"http://127.0.0.1:{self.http_port}/dicom-web"


def missing() -> str:
    """Why no server can be started; empty when one can."""
    if shutil.which("Orthanc") is None:
        return "Orthanc is not installed (apt-get install orthanc orthanc-dicomweb)"
    return "" if PLUGIN.exists() else "Orthanc's DICOMweb plugin is not installed (apt-get install orthanc-dicomweb)"


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Archive]:
    """Start a server with its storage in `folder`, and stop it in the end."""
    archive = Archive(_free_port(), _free_port())
    (folder / "orthanc.json").write_text(json.dumps({
        "Name": "test", "StorageDirectory": str(folder / "storage"), "IndexDirectory": str(folder / "storage"),
        "HttpPort": archive.http_port, "DicomPort": archive.dicom_port, "DicomAet": TITLE, "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False, "DicomAlwaysAllowStore": True, "DicomAlwaysAllowGet": True,
        "Plugins": [str(PLUGIN)], "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }))
    with (folder / "orthanc.log").open("wb") as log:
        server = subprocess.Popen(["Orthanc", str(folder / "orthanc.json")], stdout=log, stderr=log)
        try:
            _wait(server, archive, folder / "orthanc.log")
            yield archive
        finally:
            server.kill()  # a quiet end takes seconds, and nothing is kept
            server.wait()


def _wait(server: subprocess.Popen[bytes], archive: Archive, log: Path) -> None:
    for _ in range(START_SECONDS * 10):
        with contextlib.suppress(requests.RequestException):
            if session().get(f"{archive.web}/studies", timeout=5).status_code < 500:
                return
        if server.poll() is not None:
            break
        time.sleep(0.1)
    raise RuntimeError(f"Orthanc did not start:\n{log.read_text(errors='replace')[-3000:]}")


def session() -> requests.Session:
    """Connections that go to this machine whatever proxies the environment names."""
    found = requests.Session()
    found.trust_env = False
    return found


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
