"""What the distribution tells of itself, and what it makes of URLs."""

from __future__ import annotations

import subprocess
import sys

import pytest

from daystore.errors import ConfigError
from daystore.plugins import default_plugins
from daystore_s3 import plugin
from daystore_s3.adapter import CAPABILITIES, S3Adapter
from daystore_s3.config import S3Config
from daystore_s3.urls import locate

SECRET = "hunter2"


@pytest.mark.parametrize(
    ("url", "bucket", "root", "endpoint"),
    [
        ("s3://bucket", "bucket", "", None),
        ("s3://bucket/a/b/?region=eu-central-1", "bucket", "a/b/", None),
        (
            "s3://key:pw@my.bucket/a?endpoint_url=http://127.0.0.1:9000",
            "my.bucket",
            "a/",
            "http://127.0.0.1:9000",
        ),
    ],
)
def test_urls_are_read(url: str, bucket: str, root: str, endpoint: str | None) -> None:
    """A URL names a bucket, a prefix and a server."""
    location = locate(url)
    assert (location.bucket, location.root, location.endpoint_url) == (bucket, root, endpoint)


@pytest.mark.parametrize(
    "url",
    [
        f"s3://key:{SECRET}@bucket?what={SECRET}",
        f"s3://{SECRET}@bucket",
        f"s3://key:{SECRET}@",
        f"s3://key:{SECRET}@b!",
        f"s3://key:{SECRET}@bucket--x-s3",
        f"s3://key:{SECRET}@bucket/../a",
        f"s3://key:{SECRET}@bucket/{'a' * 101}",
        f"s3://key:{SECRET}@bucket?endpoint_url=http://key:{SECRET}@host",
        f"s3://key:{SECRET}@bucket?endpoint_url=host:port",
        f"http://key:{SECRET}@bucket",
        "s3://",
    ],
)
def test_a_url_that_cannot_be_used_is_told_without_its_password(url: str) -> None:
    """The error says what to do, and neither it nor its cause tells the password."""
    with pytest.raises(ConfigError) as caught:
        locate(url)
    assert SECRET not in f"{caught.value!r} {caught.value.__cause__!r} {caught.value.__context__!r}"


def test_a_password_is_not_shown() -> None:
    """What is made of a URL does not show its password."""
    url = f"s3://key:{SECRET}@bucket"
    adapter = S3Adapter.from_url(url)
    assert SECRET not in f"{locate(url)!r} {adapter!r} {vars(adapter)!r}"


def test_options_are_checked() -> None:
    """An option that there is not is told, with those that there are."""
    with pytest.raises(ConfigError, match="max_connections"):
        S3Adapter.from_url("s3://bucket", what=1)
    with pytest.raises(ConfigError, match="max_connections"):
        S3Adapter.from_url("s3://bucket", max_connections=0)


def test_the_spec_names_what_is_there() -> None:
    """The description leads to the adapter, its options and what it can declare."""
    (spec,) = plugin.daystore_adapters()
    assert spec.name == S3Adapter.name
    assert spec.factory == f"{S3Adapter.__module__}:{S3Adapter.__qualname__}"
    assert spec.config == f"{S3Config.__module__}:{S3Config.__qualname__}"
    assert set(spec.capabilities) == set(CAPABILITIES.names())
    assert isinstance(default_plugins().open_adapter("s3://bucket/path"), S3Adapter)


def test_listing_and_checking_load_no_driver() -> None:
    """The description and the options can be looked at without importing boto3."""
    code = (
        "import sys, daystore_s3.plugin, daystore_s3.config\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules} & {'boto3', 'botocore', 'urllib3'}))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert found.stdout == "[]\n"
