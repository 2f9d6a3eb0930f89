"""Which image a container is made of."""

from __future__ import annotations

import re
from typing import Any, Final

from daystore_compliance.services.server import ServiceUnavailable, described
from daystore_compliance.services.service import Service

__all__ = ["LOCAL", "choose_image", "local_builds"]

LOCAL: Final = "daystore/"
"""What the names of the images begin with that are built here, so that nobody takes them for official ones."""


def choose_image(client: Any, service: Service, wanted: str | None) -> str | None:
    """Choose an image that the engine has by the end of the call.

    The one that is asked for; else the official one, pulled if it can be; else the newest local build.

    Args:
        client: Of the engine, a ``docker.DockerClient``.
        service: What has to run.
        wanted: The image that was asked for, if any.

    Returns:
        Its name; ``None`` if there is none.

    Raises:
        ServiceUnavailable: If an image was asked for and cannot be had.
    """
    if wanted:
        if not _present(client, wanted) and (failure := _pull(client, wanted)):
            raise ServiceUnavailable(f"the image {wanted} is not here and cannot be pulled: {failure}")
        return wanted
    if service.image and (_present(client, service.image) or _pull(client, service.image) is None):
        return service.image
    return max(local_builds(client, service), key=_version, default=None)


def local_builds(client: Any, service: Service) -> list[str]:
    """Return the images that were built here for a service."""
    if not service.build:
        return []
    return [tag for image in client.images.list(name=LOCAL + service.build) for tag in image.tags]


def _version(tag: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", tag)))


def _present(client: Any, image: str) -> bool:
    from docker.errors import ImageNotFound

    try:
        client.images.get(image)
    except ImageNotFound:
        return False
    return True


def _pull(client: Any, image: str) -> str | None:
    """Pull an image, if its registry answers; say why not otherwise."""
    try:
        client.images.get_registry_data(image)  # says soon whether there is a registry at all
        name, _, tag = image.partition("@") if "@" in image else image.rpartition(":")
        client.images.pull(name or image, tag=tag or None)
    except Exception as error:  # noqa: BLE001 -- of the engine, of a registry, or of the way to it
        return described(error)
    return None
