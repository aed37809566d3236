"""The images that the compose file names: ours built, the bases pulled, or stand-ins made for them from Debian.

A stand-in carries the tag of the image that it stands for, so that our files are used as they are.
"""

import functools
import http.server
import re
import shutil
import socketserver
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.compose.docker_host import NotHere, output, works

ROOT = Path(__file__).parents[2]
STANDINS = Path(__file__).parent / "standins"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
DEBIAN, SUITE = "comd-standin/debian", "bookworm"


def services() -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"])


def python_image() -> str:
    found = re.search(r"ARG PYTHON_IMAGE=(\S+)", (ROOT / "docker" / "light.Dockerfile").read_text())
    assert found, "the Dockerfile names its base"
    return found[1]


def have_bases() -> bool:
    """Whether the real ones are here; stand-ins are made where they can neither be found nor pulled."""
    named = services()
    bases = {"python": python_image(), **{name: named[name]["image"] for name in ("postgres", "redis")}}
    missing = {name: image for name, image in bases.items() if not works("docker", "image", "inspect", image)}
    missing = {
        name: image for name, image in missing.items() if not works("docker", "pull", "--quiet", image)
    }
    if missing:
        _make_debian()
    for name, image in missing.items():
        _make_standin(name, image)
    return not missing


def _make_debian() -> None:
    if works("docker", "image", "inspect", DEBIAN):
        return
    if shutil.which("debootstrap") is None:
        raise NotHere("no registry can be reached, and there is no debootstrap to make stand-ins with")
    with tempfile.TemporaryDirectory(prefix="comd-debian-") as folder:
        root = Path(folder) / "root"
        output("debootstrap", "--variant=minbase", "--include=ca-certificates", SUITE, str(root))
        for left in root.glob("var/cache/apt/archives/*.deb"):
            left.unlink()
        tar = subprocess.Popen(["tar", "-C", str(root), "-c", "."], stdout=subprocess.PIPE)
        subprocess.run(["docker", "import", "-", DEBIAN], stdin=tar.stdout, check=True, capture_output=True)
        assert tar.wait() == 0


def _make_standin(name: str, image: str) -> None:
    with tempfile.TemporaryDirectory(prefix="comd-standin-") as folder:
        shutil.copytree(STANDINS, folder, dirs_exist_ok=True)
        shutil.copy(CERTIFICATES, folder)  # this machine's, which may have been added to
        _build(f"{folder}/{name}.Dockerfile", folder, image, {})


def build_ours() -> None:
    """Each image once, with this machine's torch where no other index is told."""
    built: set[str] = set()
    with torch_index() as url:
        for service in services().values():
            if "build" not in service or service["image"] in built:
                continue
            built.add(service["image"])
            told = {"LOCK": service["build"]["args"].get("LOCK", ""), "TORCH_INDEX_URL": url}
            taken = (ROOT / service["build"]["dockerfile"]).read_text()
            arguments = {key: value for key, value in told.items() if f"ARG {key}" in taken}
            tag = service["image"].replace("${COMD_VERSION:-0.1.0}", "0.1.0")
            _build(str(ROOT / service["build"]["dockerfile"]), str(ROOT), tag, arguments)


def _build(dockerfile: str, context: str, tag: str, arguments: dict[str, str]) -> None:
    given = [part for key, value in arguments.items() for part in ("--build-arg", f"{key}={value}")]
    command = ["docker", "build", "--network=host", "--file", dockerfile, "--tag", tag, *given, context]
    # without BuildKit, which would ask a registry about stand-ins
    done = subprocess.run(["env", "DOCKER_BUILDKIT=0", *command], capture_output=True, text=True)
    assert done.returncode == 0, f"{tag}: {done.stdout[-3000:]}{done.stderr[-1000:]}"


@contextmanager
def torch_index() -> Iterator[str]:
    """torch as pip finds it on this machine, on a loopback port while images are built."""
    with tempfile.TemporaryDirectory(prefix="comd-index-") as folder:
        place = Path(folder) / "torch"
        wanted = re.search(r"ARG TORCH=(\S+)", (ROOT / "docker" / "trainer.Dockerfile").read_text())
        assert wanted, "the Dockerfile names its torch"
        output(
            sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(place), wanted[1]
        )
        handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder)
        with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield f"http://127.0.0.1:{server.server_address[1]}/"
            server.shutdown()
