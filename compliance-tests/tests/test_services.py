"""Services: where their servers come from, when they are ready, and that nothing of them stays."""

import importlib
import os
import pwd
import signal
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from daystore_compliance.services import ServiceUnavailable, provide
from daystore_compliance.services import ladder as ladder_module
from daystore_compliance.services.process import born, find
from daystore_compliance.services.service import fill

FOLDER = Path(__file__).parent / "tiny_service"


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A service of a small program, whose servers leave their files here."""
    monkeypatch.syspath_prepend(FOLDER)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for name in ("DAYSTORE_TINY_URL", "DAYSTORE_TINY_IMAGE"):
        monkeypatch.delenv(name, raising=False)
    return importlib.import_module("tiny_target")


def _left(folder: Path) -> list[str]:
    """What is left of servers: their directories, and their processes."""
    ps = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    processes = [line for line in ps.stdout.splitlines() if str(folder) in line]
    return [*map(str, folder.glob("daystore-*")), *processes]


def _starts(folder: Path) -> int:
    return len((folder / "tiny-starts").read_text().splitlines())


# --- A local process -----------------------------------------------------------------------------------------


def test_process_is_ready_and_leaves_nothing(tiny: Any, tmp_path: Path) -> None:
    with provide(tiny.service()) as server:
        assert server.kind == "process"
        assert tiny.ask(server.url) == 2  # after the probe
        assert _left(tmp_path)
    assert not _left(tmp_path)


def test_process_is_killed_and_found_again(tiny: Any, tmp_path: Path) -> None:
    with provide(tiny.service()) as server:
        before = tiny.ask(server.url)
        server.kill()
        with pytest.raises(OSError, match="refused"):
            tiny.ask(server.url)
        server.restart()
        assert tiny.ask(server.url) == before + 2
    assert _starts(tmp_path) == 2
    assert not _left(tmp_path)


def test_process_that_is_never_ready_is_undone(tiny: Any, tmp_path: Path) -> None:
    with pytest.raises(ServiceUnavailable) as caught, provide(tiny.service("never", startup=0.3)):
        pass
    told = str(caught.value)
    assert "the tiny server (process) was not ready after 0.3 s" in told
    assert "the probe of tiny://:***@127.0.0.1:" in told
    assert "its log ends:\n  started" in told
    assert not _left(tmp_path)


def test_process_that_dies_fails_at_once(tiny: Any, tmp_path: Path) -> None:
    with pytest.raises(ServiceUnavailable) as caught, provide(tiny.service("dies", startup=1e6)):
        pass
    told = str(caught.value)
    assert "has ended before it was ready" in told
    assert "ended with 1" in told
    assert "something is wrong with secret=***" in told
    assert not _left(tmp_path)


def test_preparation_files_and_helpers(tiny: Any, tmp_path: Path) -> None:
    """What is prepared is there before the server starts, and what settles it is tried until it succeeds."""
    write = "import sys, pathlib; pathlib.Path(sys.argv[1]).write_text('40')"
    once = "import sys, pathlib; p = pathlib.Path(sys.argv[1]); sys.exit(not p.exists() and not p.touch())"
    made = tiny.service()
    local = replace(
        made.local,
        files={"settings": "port {port} in {directory}"},
        prepare=((sys.executable, "-c", write, "{directory}/number"),),
        settle=((sys.executable, "-c", once, "{directory}/settled"),),
    )
    with provide(replace(made, local=local)) as server:
        directory = Path(server.record["directory"])
        port = server.url.rpartition(":")[2]
        assert (directory / "settings").read_text() == f"port {port} in {directory}"
        assert (directory / "settled").exists()
        assert tiny.ask(server.url) == 42
    bad = replace(local, prepare=((sys.executable, "-c", "raise SystemExit('no room')"),))
    with (
        pytest.raises(ServiceUnavailable, match=r"could not be prepared(.|\n)*no room"),
        provide(replace(made, local=bad)),
    ):
        pass
    assert not _left(tmp_path)


def test_process_is_run_by_another_user(tiny: Any, tmp_path: Path) -> None:
    """A server that refuses root is run by a user of its own, where this process is root."""

    def who(_: str = "") -> str:
        (told,) = tmp_path.glob("daystore-tiny-*/who")
        (name,) = told.read_text().splitlines()
        return name

    made = tiny.service()
    command = ("sh", "-c", "id -un > {directory}/who; exec sleep 600")
    local = replace(made.local, command=command, user="no-such-user")
    for folder in (tmp_path, *tmp_path.parents):
        if folder.name.startswith(("pytest-", "popen-", "test_")):
            folder.chmod(0o755)  # the other user has to reach it
    with provide(replace(made, local=local, probe=who)):
        assert who() == ("nobody" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name)
    assert not _left(tmp_path)


# --- The ladder ----------------------------------------------------------------------------------------------


def test_url_is_used(tiny: Any, tmp_path: Path) -> None:
    with provide(tiny.service()) as server:
        with provide(tiny.service(), url=server.url) as given:
            assert (given.kind, given.url) == ("url", server.url)
        assert tiny.ask(server.url), "it was ended by somebody who did not start it"
    assert _starts(tmp_path) == 1


def test_url_that_does_not_answer_is_an_error(tiny: Any, tmp_path: Path) -> None:
    with (
        pytest.raises(ServiceUnavailable) as caught,
        provide(tiny.service(), url="tiny://:swordfish-77@127.0.0.1:9"),
    ):
        pass
    assert "the tiny server at tiny://:***@127.0.0.1:9 does not answer" in str(caught.value)
    assert "so nothing else was tried" in str(caught.value)
    assert not (tmp_path / "tiny-starts").exists()


def test_no_way_to_get_one(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made = tiny.service()
    nowhere = replace(
        made, image="tiny:1", build="tiny", local=replace(made.local, command=("no-such-server",))
    )
    monkeypatch.setattr(ladder_module, "no_engine", lambda: "no engine")
    with pytest.raises(ServiceUnavailable) as caught, provide(nowhere):
        pass
    assert str(caught.value).splitlines() == [
        "there is no tiny server to try: DAYSTORE_TINY_URL is not set; no engine; not installed: no-such-server.",
        "One of these gets one:",
        "  export DAYSTORE_TINY_URL=tiny://:***@127.0.0.1:7001  # one that runs",
        "  docker pull tiny:1  # with a container engine that runs",
        "  compliance-tests/images/build tiny  # where nothing can be pulled",
        "  apt-get install tiny  # a local process",
    ]
    with (
        pytest.raises(ServiceUnavailable, match="no container of other:2 can be started"),
        provide(nowhere, image="other:2"),
    ):
        pass


# --- Targets of services -------------------------------------------------------------------------------------


def test_target_has_a_server_of_its_own_unless_served(tiny: Any, tmp_path: Path) -> None:
    served = tiny.TinyTarget()
    served.serve()
    with served.running():
        assert served.address == ("127.0.0.1", int(served.url.rpartition(":")[2]))
        assert served.secrets == ("swordfish-77",)
        assert served.elsewhere() == served.url
        assert served.at("127.0.0.1", 7).url == "tiny://:swordfish-77@127.0.0.1:7"
        with pytest.raises(ServiceUnavailable, match="private"):
            served.kill()
        assert _starts(tmp_path) == 1
        with served.private().running() as other:
            assert other.url != served.url
            other.kill()
            other.restart()
            tiny.ask(other.url)
        assert _starts(tmp_path) == 3
    tiny.ask(served.url)  # it outlives the target's own start and stop
    served.withdraw()
    assert not _left(tmp_path)


def test_target_of_a_url_kills_nothing(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAYSTORE_TINY_URL", "tiny://127.0.0.1:9")
    target = tiny.TinyTarget()
    assert target.hooks == {"process", "proxy"}
    assert not target.disposable
    assert tiny.TinyTarget(image="tiny:2").disposable, "an image that was asked for comes before the variable"
    with pytest.raises(ServiceUnavailable), target.running():
        pass


# --- Small things --------------------------------------------------------------------------------------------


def test_fill() -> None:
    assert fill("{port}-{port2}-{directory}-{other}", [1, 2], directory="/d") == "1-2-/d-{other}"


def test_find(tmp_path: Path) -> None:
    assert find("no-such-server") is None
    assert find(sys.executable) == sys.executable


def test_born_tells_processes_apart() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        assert born(process.pid) == born(process.pid) != ""
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert born(process.pid) == ""
