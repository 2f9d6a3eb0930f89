"""Servers in containers. They need a container engine and an image of Redis; CI has both, and fails without."""

import os
import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest
from requests.exceptions import ReadTimeout
from testcontainers.core.container import DockerContainer

from daystore_compliance.services import Service, ServiceUnavailable, provide
from daystore_compliance.services.container import RUN_LABEL, ContainerServer, engine, no_engine, sweep
from daystore_compliance.services.images import choose_image, local_builds
from daystore_compliance.services.ladder import choose_server


def ask(url: str, command: str) -> str:
    """Send a command to a Redis, and return the first line of its answer."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    with socket.create_connection((parts.hostname, parts.port or 0), timeout=5) as connection:
        connection.sendall(f"{command}\r\n".encode())
        with connection.makefile() as answer:
            line = answer.readline().strip()
    if not line.startswith(("+", ":")):
        raise ConnectionError(f"the answer to {command} was {line!r}")
    return line


def probe(url: str) -> None:
    """See whether it answers."""
    ask(url, "PING")


REDIS = Service(
    name="redis-of-tests",
    image="redis:8",
    build="redis",
    port=6379,
    url="redis://127.0.0.1:{port}",
    probe=probe,
    arguments=("redis-server", "--save", "", "--appendonly", "yes"),
)


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """A client of the engine that is here."""
    if why := no_engine() or _no_image():
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)
    with engine() as client:
        yield client


def _no_image() -> str | None:
    with engine() as client:
        if choose_image(client, REDIS, None) is None:
            return "there is no image of Redis: run compliance-tests/images/build redis"
    return None


def _containers(client: Any, run: str) -> list[Any]:
    return list(client.containers.list(all=True, filters={"label": f"{RUN_LABEL}={run}"}))


def test_container_is_ready_and_leaves_nothing(client: Any, request: pytest.FixtureRequest) -> None:
    run = request.node.name
    with provide(REDIS, run=run) as server:
        assert server.kind == "container"
        assert server.facts["image"] in ("redis:8", *local_builds(client, REDIS))
        assert server.facts["image_id"].startswith("sha256:")
        assert ask(server.url, "INCR a") == ":1"
        (container,) = _containers(client, run)
        bindings = container.attrs["HostConfig"]["PortBindings"]["6379/tcp"]
        assert [binding["HostIp"] for binding in bindings] == ["127.0.0.1"], (
            "it can be reached from elsewhere"
        )
    assert not _containers(client, run)


def test_container_is_killed_and_found_again(client: Any) -> None:
    with provide(REDIS) as server:
        url = server.url
        assert ask(url, "INCR a") == ":1"
        server.kill()
        with pytest.raises(OSError, match=r"refused|''"):
            ask(url, "INCR a")
        server.restart()
        assert server.url == url
        assert ask(url, "INCR a") == ":2"


def test_container_that_is_never_ready_is_undone(client: Any, request: pytest.FixtureRequest) -> None:
    run = request.node.name

    def never(url: str) -> None:
        raise ConnectionError("not yet")

    impatient = replace(REDIS, probe=never, startup=0.5)
    with pytest.raises(ServiceUnavailable, match=r"was not ready after 0.5 s(.|\n)*its log ends"):  # noqa: SIM117
        with provide(impatient, run=run):
            pass
    assert not _containers(client, run)


def test_container_that_ends_fails_at_once(client: Any, request: pytest.FixtureRequest) -> None:
    run = request.node.name
    wrong = replace(REDIS, arguments=("redis-server", "--no-such-option", "1"), startup=1e6)
    with pytest.raises(ServiceUnavailable, match=r"exited with 1(.|\n)*no-such-option"):  # noqa: SIM117
        with provide(wrong, run=run):
            pass
    assert not _containers(client, run)


def test_port_that_was_taken_meanwhile_is_replaced(client: Any) -> None:
    server = choose_server(REDIS)
    assert isinstance(server, ContainerServer)
    before = server.url
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", urlsplit(before).port))
        taken.listen()
        with server.running():
            assert server.url != before
            probe(server.url)


def test_engine_that_does_not_answer_is_told(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that is too busy to make a container is said to be, and is no unexpected error of a client."""
    image = choose_image(client, REDIS, None)
    assert image is not None

    def create(*_: Any, **__: Any) -> None:
        raise ReadTimeout("Read timed out. (read timeout=60)")

    monkeypatch.setattr(DockerContainer, "start", create)
    with pytest.raises(ServiceUnavailable, match=r"engine does not answer \(ReadTimeout: Read timed out"):
        ContainerServer(REDIS, image, "of-tests").start()


def test_image_that_was_asked_for_is_the_one(client: Any) -> None:
    own = local_builds(client, REDIS)
    if own:
        with provide(replace(REDIS, image="no-such/image:1"), image=own[0]) as server:
            assert server.facts["image"] == own[0]
    with (
        pytest.raises(ServiceUnavailable, match="the image no-such/image:1 is not here and cannot be pulled"),
        provide(REDIS, image="no-such/image:1"),
    ):
        pass


def test_newest_local_build_comes_last_of_all(client: Any) -> None:
    class Image:
        def __init__(self, *tags: str) -> None:
            self.tags = tags

    class Images:
        def list(self, name: str) -> list[Image]:
            assert name == "daystore/redis"
            return [Image("daystore/redis:8.0-debian"), Image("daystore/redis:10.0-debian"), Image()]

    class Client:
        images = Images()

    assert choose_image(Client(), replace(REDIS, image=""), None) == "daystore/redis:10.0-debian"
    assert choose_image(Client(), replace(REDIS, image="", build=""), None) is None


def test_sweep_removes_what_a_run_has_left(client: Any, request: pytest.FixtureRequest) -> None:
    run = request.node.name
    left, other = choose_server(REDIS, run=run), choose_server(REDIS, run=f"{run}-other")
    try:
        left.start()
        other.start()
        sweep(run)
        assert not _containers(client, run)
        assert _containers(client, f"{run}-other")
    finally:
        left.stop()
        other.stop()
