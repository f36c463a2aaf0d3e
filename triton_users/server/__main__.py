"""`python -m triton_users.server`: the embedded Triton from a shell.

install         fetch and unpack the server and perf_analyzer, build the image model
run             start the server in the foreground, print its addresses, stop it on Ctrl+C
releases        list the releases of Triton that there are, and which of them run here
doctor          say what this machine can do and what is missing
models FOLDER   write a complete copy of the model repository, for a Triton that runs elsewhere
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from triton_users import server
from triton_users.declaration import EXIT_INTERRUPTED, EXIT_USAGE
from triton_users.server import pins, releases, repository, support
from triton_users.server.cache import cache_folder
from triton_users.system.interrupts import one_interrupt


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0; 2 with a message when this machine or the user's request cannot be served; 130 after Ctrl+C."""
    parser = _parser()
    options = parser.parse_args(arguments)
    commands = {"install": _install, "run": _run, "models": _models, "releases": _releases, "doctor": _doctor}
    try:
        with one_interrupt(signal.SIGINT, signal.SIGTERM):
            return commands[options.command](options)
    except server.ServerError as exc:
        print(exc, file=sys.stderr)
        return EXIT_USAGE
    except OSError as exc:
        print(f"{exc.filename or 'The file system'}: {exc.strerror or exc}", file=sys.stderr)
        return EXIT_USAGE
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return EXIT_INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m triton_users.server", description="The embedded Triton.")
    commands = parser.add_subparsers(dest="command", required=True)
    install = commands.add_parser(
        "install", help="fetch and unpack the server and perf_analyzer, build the image model"
    )
    run = commands.add_parser("run", help="start the server in the foreground; Ctrl+C stops it")
    run.add_argument("--model-repository", type=Path, help="folder of models (default: the package's own)")
    for service in ("gRPC", "HTTP", "metrics"):
        run.add_argument(
            f"--{service.lower()}-port", type=int, default=0, metavar="PORT",
            help=f"port of the {service} service on loopback, 1 to 65535 (default: 0, any that is free)",
        )  # fmt: skip
    for command in (install, run):
        command.add_argument(
            "--triton", default=pins.NEWEST, choices=tuple(pins.RELEASES), metavar="RELEASE",
            help=f"release of Triton, one of {', '.join(pins.RELEASES)} (default: {pins.NEWEST})",
        )  # fmt: skip
    commands.add_parser("releases", help="list the releases of Triton that there are, and which of them run here")
    commands.add_parser("doctor", help="say what this machine can do and what is missing")
    models = commands.add_parser("models", help="write a complete copy of models/, for a Triton that runs elsewhere")
    models.add_argument("folder", type=Path, help="where to; it must not exist yet")
    return parser


def _install(options: argparse.Namespace) -> int:
    with server.ProgressLine() as progress:
        installation = server.ensure_installed(progress, options.triton)
        repository.network_for(repository.default_repository(), None, installation, progress)
    print(f"Triton {installation.version} in {installation.root}")
    print(f"{server.check_perf_analyzer(installation)} in {installation.perf_analyzer}")
    return 0


def _run(options: argparse.Namespace) -> int:
    with server.ProgressLine() as progress:
        triton = server.EmbeddedTriton(
            options.model_repository,
            release=options.triton,
            grpc_port=options.grpc_port,
            http_port=options.http_port,
            metrics_port=options.metrics_port,
            progress=progress,
        )
        try:
            triton.start()
            progress.close()
            try:
                print(f"gRPC     grpc://{triton.grpc_url}\nHTTP     http://{triton.http_url}", flush=True)
                print(f"metrics  {triton.metrics_url}\nlog      {triton.log_path}\nCtrl+C stops it.", flush=True)
                while triton.running:
                    time.sleep(0.5)
            except KeyboardInterrupt:
                return 0
            print(triton.how_it_ended(), file=sys.stderr)
            return 1
        finally:
            triton.stop()


def _models(options: argparse.Namespace) -> int:
    folder: Path = options.folder
    source = repository.default_repository()
    if folder.exists():
        raise server.ServerError(f"{folder} exists already; give a folder that does not.")
    with server.ProgressLine() as progress:
        network = repository.network_for(source, None, server.ensure_installed(progress), progress)
    try:
        shutil.copytree(source, folder, ignore=shutil.ignore_patterns("__pycache__", ".gitkeep"))
        for name, file in network.items():
            target = folder / repository.IMAGE_MODEL / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)  # no half of it may pass for a whole
        raise
    print(f"{len(repository.model_names(folder))} models in {folder}")
    return 0


def _releases(options: argparse.Namespace) -> int:
    print(releases.table())
    return 0


def _doctor(options: argparse.Namespace) -> int:
    machine = support.this_machine()
    glibc = "none" if machine.glibc is None else ".".join(map(str, machine.glibc))
    print(f"machine          {machine.system} {machine.architecture}, glibc {glibc}, {os.cpu_count()} cores")
    print(f"Python           {sys.version.split()[0]} ({sys.executable})")
    print(f"cache            {cache_folder()}")
    worst = 0
    for what, look in (("embedded Triton", _look_at_server), ("perf_analyzer", _look_at_perf_analyzer)):
        try:
            print(f"{what:<17}{look()}")
        except server.ServerError as exc:
            print(f"{what:<17}no: {exc}")
            worst = EXIT_USAGE
    return worst


def _look_at_server() -> str:
    support.check(support.this_machine())
    return "can run here"


def _look_at_perf_analyzer() -> str:
    command, _ = server.find_perf_analyzer()
    return command[0]


if __name__ == "__main__":
    sys.exit(main())
