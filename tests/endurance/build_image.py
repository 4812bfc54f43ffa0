"""The images of deploy/Dockerfile, really built with buildah and run: their user, their boot, the demo.

Run as root: `python tests/endurance/build_image.py`; some ten minutes. Needs Linux with apt, Go and Java; buildah and
mmdebstrap come with `apt-get install -y --no-install-recommends buildah mmdebstrap`.

The bases are STAND-INS where no registry of images can be reached: Debian 12 with its own Python for Python's image,
Beam's boot built from its Go module, this machine's Java without Flink for Flink's image, an empty file for Dataflow's
launcher. What is shown is that every step of the Dockerfile runs, and that what photobeam adds works; not what the real
bases hold.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
BEAM_BOOT = "github.com/apache/beam/sdks/v2/python/container@v2.77.0"
PYTHON_PACKAGES = "python3,python3-pip,python3-venv,python-is-python3,ca-certificates"
AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"
CHECKS = {
    "worker": "test $(id -u) = 9999 && ! touch /opt/photobeam/x 2> /dev/null && cd && photobeam demo --output demo",
    "flink": "test $(id -u) = 9999 && java -version && /docker-entrypoint.sh help && python -c 'import beam_jobs'",
    "dataflow": "test $(id -u) = 9999 && python $FLEX_TEMPLATE_PYTHON_PY_FILE --help && "
    "python -c 'import apache_beam.runners.dataflow.internal.apiclient'",
}
"""What runs in each image and must succeed."""

BOOT = "/opt/apache/beam/boot 2>&1 | grep -q 'No id provided'"
"""Beam's boot starts, and asks who it is."""


def run(*command: object, **more: object) -> None:
    """Runs a program; raises CalledProcessError if it fails."""
    print("+", *command, flush=True)
    subprocess.run([str(part) for part in command], check=True, **more)  # type: ignore[call-overload]


class Builder:
    """Buildah with a storage of its own, which ends with it."""

    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        self._buildah = ["buildah", "--root", folder / "images", "--runroot", folder / "run", "--storage-driver", "vfs"]

    def __call__(self, *arguments: object) -> None:
        run(*self._buildah, *arguments)

    def stand_in(self, name: str, content: pathlib.Path, *steps: str) -> None:
        """Tags what is in a folder as a base image."""
        (content / "Dockerfile").write_text("\n".join(["FROM scratch", *steps, ""]))
        self("bud", "--isolation", "chroot", "-t", name, content)

    def build(self, target: str) -> None:
        """Builds a target of the Dockerfile; pip finds this machine's certificates."""
        pip = self.folder / "pip.conf"
        pip.write_text("[global]\ncert = /run/authorities.crt\n")
        mounts = ["-v", f"{AUTHORITIES}:/run/authorities.crt:ro", "-v", f"{pip}:/etc/pip.conf:ro"]
        self("bud", "--isolation", "chroot", "--pull-never", "--layers", *mounts, "-f", ROOT / "deploy" / "Dockerfile",
             "--target", target, "-t", f"photobeam:{target}", ROOT)  # fmt: skip

    def check(self, target: str) -> None:
        """Runs the checks of a target in its image."""
        name = f"check-{target}"
        self("from", "--pull-never", "--name", name, f"localhost/photobeam:{target}")
        self("run", "--isolation", "chroot", name, "--", "sh", "-euc", f"{CHECKS[target]}; {BOOT}")
        self("rm", name)

    def say_size(self, target: str) -> None:
        """Prints the size of an image as a registry would hold it."""
        archive = self.folder / f"{target}.tar"
        self("push", "--quiet", f"localhost/photobeam:{target}", f"oci-archive:{archive}")
        print(f"{target}: {archive.stat().st_size / 1e6:,.0f} MB compressed", flush=True)
        archive.unlink()


def make_stand_ins(builder: Builder) -> None:
    """Makes and tags all bases that the Dockerfile names."""
    python, beam, flink, launcher = (builder.folder / name for name in ("python", "beam", "flink", "launcher"))
    for folder in (python, beam, flink, launcher):
        folder.mkdir()
    run("mmdebstrap", "--variant=minbase", f"--include={PYTHON_PACKAGES}", "bookworm", python / "root.tar")
    builder.stand_in("docker.io/library/python:3.11-slim-bookworm", python, "ADD root.tar /")
    run("go", "install", BEAM_BOOT, env={**os.environ, "GOBIN": str(beam)})
    builder.stand_in("docker.io/apache/beam_python3.11_sdk:2.77.0", beam, "COPY container /opt/apache/beam/boot")
    copy_flink(flink)
    builder.stand_in("docker.io/library/flink:1.20.5-java17", flink, "COPY opt /opt", "COPY docker-entrypoint.sh /")
    (launcher / "python_template_launcher").touch()
    builder.stand_in(
        "gcr.io/dataflow-templates-base/python311-template-launcher-base:20230622_RC00",
        launcher,
        "COPY python_template_launcher /opt/google/dataflow/",
    )


def copy_flink(folder: pathlib.Path) -> None:
    """Copies Java, and makes an entry point; Flink itself is left out."""
    java = pathlib.Path(shutil.which("java") or sys.exit("needs Java 17 on PATH")).resolve().parents[1]
    shutil.copytree(java, folder / "opt" / "java" / "openjdk", ignore_dangling_symlinks=True)
    (folder / "opt" / "flink").mkdir()
    entry = folder / "docker-entrypoint.sh"
    entry.write_text("#!/bin/sh\necho a stand-in\n")
    entry.chmod(0o755)


def main() -> None:
    """Builds, runs and measures every target."""
    with tempfile.TemporaryDirectory() as name:
        builder = Builder(pathlib.Path(name))
        make_stand_ins(builder)
        for target in CHECKS:
            builder.build(target)
            builder.check(target)
            builder.say_size(target)


if __name__ == "__main__":
    main()
