"""Which Python runs the server's models, and what is said when a part is missing. Nothing is fetched here."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from triton_users import server
from triton_users.server import install, interpreter, perf_analyzer, pins, support
from triton_users.server.cache import once
from triton_users.server.errors import Unsupported
from triton_users.server.install import Installation
from triton_users.server.interpreter import Interpreter, candidates
from triton_users.server.loader import missing_libraries
from triton_users.server.progress import silent

RELEASE = pins.RELEASES[pins.NEWEST]
OLD = Interpreter("/usr/bin/python3.11", (3, 11), None)
NEW = Interpreter("/opt/python3.12", (3, 12), Path("/opt/lib"))


def test_the_first_interpreter_with_a_shared_library_is_taken(monkeypatch, tmp_path):
    monkeypatch.setattr(
        install, "missing_libraries", lambda program, environment: ["libpython3.11.so.1.0"] * ("3.11" in str(program))
    )
    assert install.usable(RELEASE, tmp_path, [OLD, NEW]) == NEW


def test_without_a_shared_library_anywhere_the_package_to_install_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(install, "missing_libraries", lambda program, environment: ["libpython3.11.so.1.0"])
    with pytest.raises(Unsupported) as raised:
        install.usable(RELEASE, tmp_path, [OLD])
    assert "/usr/bin/python3.11 (3.11) lacks libpython3.11.so.1.0" in str(raised.value)
    assert "apt install libpython3.11" in str(raised.value)
    assert "--host grpc://" in str(raised.value)


def test_without_a_supported_python_the_versions_are_named(tmp_path):
    with pytest.raises(Unsupported, match=r"needs Python 3\.10 to 3\.13; this is") as raised:
        install.usable(RELEASE, tmp_path, [])
    assert "docker compose up" in str(raised.value)


def test_a_python_that_a_release_has_no_stub_for_is_passed_over(monkeypatch, tmp_path):
    monkeypatch.setattr(install, "missing_libraries", lambda program, environment: [])
    assert install.usable(pins.RELEASES["2.39"], tmp_path, [NEW, OLD]) == OLD
    with pytest.raises(Unsupported, match=r"Triton 2\.39\.0 needs Python 3\.10 to 3\.11"):
        install.usable(pins.RELEASES["2.39"], tmp_path, [NEW])


def test_pythons_that_pyenv_and_uv_keep_off_the_path_are_found(monkeypatch, tmp_path):
    program(tmp_path / "pyenv/versions/3.10.13/bin/python3.10", "#!/bin/sh\necho '[[3, 10], [], null]'\n")
    program(tmp_path / "uv/cpython-3.11.9-linux/bin/python3.11", "#!/bin/sh\necho '[[3, 11], [], null]'\n")
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    monkeypatch.setenv("UV_PYTHON_INSTALL_DIR", str(tmp_path / "uv"))
    monkeypatch.setattr(interpreter.sys, "executable", "/nowhere/python3.14")
    assert [found.version for found in candidates()] == [(3, 11), (3, 10)]


def test_the_running_python_is_the_first_candidate():
    assert next(candidates()).executable == sys.executable


def test_an_unsupported_running_python_and_shims_that_do_not_run_are_passed_over(monkeypatch, tmp_path):
    (tmp_path / "python3.14").write_text("#!/bin/sh\necho '[[3, 14], [], null]'\n")
    (tmp_path / "python3.12").write_text("#!/bin/sh\necho '[[3, 12], [], null]'\n")
    (tmp_path / "python3.10").write_text("#!/bin/sh\necho 'this shim has no such version' >&2\nexit 127\n")
    for shim in tmp_path.iterdir():
        shim.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    monkeypatch.setenv("UV_PYTHON_INSTALL_DIR", str(tmp_path / "uv"))
    monkeypatch.setattr(interpreter.sys, "executable", str(tmp_path / "python3.14"))
    assert list(candidates()) == [Interpreter(str(tmp_path / "python3.12"), (3, 12), None)]


def test_the_shared_library_is_found_where_it_is(monkeypatch, tmp_path):
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib/libpython3.12.so.1.0").touch()
    said = f'[[3, 12], ["/install/lib", null, "{tmp_path}/lib"], "libpython3.12.so.1.0"]'
    (tmp_path / "python3.12").write_text(f"#!/bin/sh\necho '{said}'\n")
    (tmp_path / "python3.12").chmod(0o755)
    monkeypatch.setattr(interpreter.sys, "executable", str(tmp_path / "python3.12"))
    assert next(candidates()).libraries == tmp_path / "lib"


def test_every_supported_python_has_its_packages_pinned():
    assert set(pins.PACKAGES) == set(support.PYTHONS)
    for packages in pins.PACKAGES.values():
        assert {"numpy", "onnx", "onnxruntime"} <= {wheel.name for wheel in packages}


def test_the_servers_environment_has_no_trace_of_ours(monkeypatch, tmp_path):
    monkeypatch.setenv("PYTHONPATH", "/ours")
    monkeypatch.setenv("LD_PRELOAD", "ours.so")
    found = Installation(tmp_path / "root", tmp_path / "environment", (3, 11), tmp_path / "lib")
    environment = found.server_environment()
    assert not {"PYTHONPATH", "LD_PRELOAD"} & set(environment)
    assert environment["PATH"].startswith(f"{tmp_path}/environment/bin:")
    assert environment["LD_LIBRARY_PATH"] == f"{tmp_path}/root/nvidia_pytriton.libs:{tmp_path}/lib"


def program(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def test_a_perf_analyzer_on_path_comes_first(monkeypatch, tmp_path):
    program(tmp_path / "perf_analyzer", "#!/bin/sh\necho Perf Analyzer Version 2.60.0 >&2\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert server.find_perf_analyzer() == ([str(tmp_path / "perf_analyzer")], {})


def an_analyzer(does):
    return lambda folder: program(perf_analyzer.program_in(folder), f"#!/bin/sh\n{does}\n")


BROKEN = ["#!/bin/sh\necho cannot open libb64.so >&2\nexit 127\n", "", "#!/bin/sh\n"]


@pytest.mark.parametrize("text", BROKEN)
def test_one_on_path_that_does_not_run_gives_way_to_the_installed_one(monkeypatch, tmp_path, caplog, text):
    monkeypatch.setenv("TRITON_USERS_CACHE", str(tmp_path / "cache"))
    installed = once(perf_analyzer.folder(), an_analyzer("echo Perf Analyzer Version 2.51.0"), silent)
    monkeypatch.setattr(perf_analyzer, "missing_libraries", lambda program, environment: [])
    program(tmp_path / "path" / "perf_analyzer", text)
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    command, _ = server.find_perf_analyzer()
    assert command == [str(perf_analyzer.program_in(installed))]
    assert f"{tmp_path}/path/perf_analyzer, which is the perf_analyzer on PATH, is not used" in caplog.text


@pytest.mark.parametrize("text", BROKEN)
def test_one_on_path_that_does_not_run_is_named_where_there_is_no_other(monkeypatch, tmp_path, text):
    program(tmp_path / "perf_analyzer", text)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("TRITON_USERS_CACHE", str(tmp_path))
    with pytest.raises(Unsupported, match=r"is not used: .* does not run .*; get one with `python -m triton_users"):
        server.find_perf_analyzer()


def test_without_a_perf_analyzer_the_way_to_get_one_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("TRITON_USERS_CACHE", str(tmp_path))
    with pytest.raises(Unsupported, match=r"python -m triton_users\.server install"):
        server.find_perf_analyzer()


def test_a_perf_analyzer_in_a_damaged_cache_is_not_taken_and_the_damage_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("TRITON_USERS_CACHE", str(tmp_path))
    root = once(perf_analyzer.folder(), an_analyzer("true"), silent)
    perf_analyzer.program_in(root).unlink()
    with pytest.raises(Unsupported, match=rf"{root} is damaged: .*perf_analyzer: No such file.*server install"):
        server.find_perf_analyzer()


def test_a_perf_analyzer_that_lacks_a_library_names_it(monkeypatch, tmp_path):
    monkeypatch.setattr(perf_analyzer, "missing_libraries", lambda program, environment: ["libcudart.so.12"])
    with pytest.raises(Unsupported, match=r"perf_analyzer lacks libcudart\.so\.12"):
        server.check_perf_analyzer(Installation(tmp_path, tmp_path, (3, 11), None, perf_analyzer.program_in(tmp_path)))


def test_a_perf_analyzer_that_fails_shows_what_it_said(monkeypatch, tmp_path):
    found = Installation(tmp_path, tmp_path, (3, 11), None, perf_analyzer.program_in(tmp_path))
    program(found.perf_analyzer, "#!/bin/sh\necho version GLIBC_2.34 not found >&2\nexit 1\n")
    monkeypatch.setattr(perf_analyzer, "missing_libraries", lambda program, environment: [])
    with pytest.raises(Unsupported, match=r"exit code 1, it said 'version GLIBC_2\.34 not found'"):
        server.check_perf_analyzer(found)


def test_missing_libraries_are_found_as_the_loader_finds_them(tmp_path):
    assert missing_libraries(Path(shutil.which("sh")), {}) == []


@pytest.mark.triton
def test_the_installed_perf_analyzer_runs(triton):
    assert server.check_perf_analyzer(server.ensure_installed()).startswith("Perf Analyzer Version 2.51.0")
    command, added = server.find_perf_analyzer()
    assert command[0].endswith("perf_analyzer")
    assert set(added) <= {"LD_LIBRARY_PATH"}


@pytest.mark.triton
def test_the_servers_python_has_what_the_models_need_and_ours_stays_free_of_it(triton):
    python = server.ensure_installed().python
    subprocess.run([python, "-I", "-c", "import numpy, onnx, onnxruntime"], check=True, timeout=60)
