"""What is hidden of URLs, texts and options, and what is not."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from daystore.config import is_secret_name, mask_text, mask_url


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://user:hunter2@host:6379/0", "redis://user:***@host:6379/0"),
        ("redis://:hunter2@host/0", "redis://:***@host/0"),
        ("redis://hunter2@host", "redis://***@host"),
        ("redis://host:6379/0?db=1", "redis://host:6379/0?db=1"),
        ("redis://[::1]:6379/0", "redis://[::1]:6379/0"),
        ("mongodb://u:hunter2@h1:1,h2:2/db?replicaSet=r", "mongodb://u:***@h1:1,h2:2/db?replicaSet=r"),
        ("postgresql+asyncpg://u:hunter2%40@h/db?ssl=1", "postgresql+asyncpg://u:***@h/db?ssl=1"),
        ("sqlite:///agent.db", "sqlite:///agent.db"),
        ("sqlite:////home/me@work/a.db?mode=ro", "sqlite:////home/me@work/a.db?mode=ro"),
        ("sqlite://", "sqlite://"),
        ("memory://", "memory://"),
        ("s3://bucket/prefix?region=eu", "s3://bucket/prefix?region=eu"),
    ],
)
def test_url_keeps_what_helps_and_loses_its_password(url: str, shown: str) -> None:
    assert mask_url(url) == shown


@pytest.mark.parametrize(
    "url",
    [
        "redis://user:hun@ter2@host",
        "redis://user:hunter2/x@host/0",
        "redis://user:a/hunter2@host/0",
        "redis://user:a?hunter2@host/0",
        "redis://user:a#hunter2@host/0",
        "redis://user:a:hunter2@host",
        "redis://user:a hunter2@host",
        "redis://us/er:hunter2@host",
        "redis://user:hunter2@",
        "redis://user:hunter2",
        "redis://:hunter2",
        "redis://:a?hunter2",
        "redis://user:a/hunter2",
        "redis://user:hunter2%40host",
        "redis://h1:1,user:hunter2",
        "redis:///hunter2@host",
        "sqlite+pysqlcipher://:hunter2@/agent.db",
        "user:hunter2@host",
        "redis:user:hunter2@host",
        "://user:hunter2@host",
        "1redis://user:hunter2@host",
        "hunter2",
        "redis://host?password=hunter2",
        "redis://host?PassWord=hunter2&x=1",
        "redis://host?t%6Fken=hunter2",
        "redis://host?x=1;token=hunter2",
        "redis://host/0#access_token=hunter2",
        "s3://bucket?X-Amz-Signature=hunter2",
        "s3://bucket?AWSAccessKeyId=a&AWSSecretAccessKey=hunter2",
        "s3://bucket?endpoint=http%3A%2F%2Fu%3Ahunter2%40host",
        "s3://bucket?endpoint=http://u:hunter2@host",
        "sqlite:///agent.db?key=hunter2",
    ],
)
def test_no_malformed_url_leaks(url: str) -> None:
    shown = mask_url(url)
    assert "hunter2" not in shown
    assert "ter2" not in shown
    assert "***" in shown


@settings(deadline=None)
@given(st.text(min_size=1).map(lambda text: f"S3{text}"), st.sampled_from(["u", "", "u%40"]), st.text())
@example("S3/@?#:", "u", "/x?y#z")
def test_no_password_whatever_its_characters_survives(password: str, user: str, tail: str) -> None:
    shown = mask_url(f"redis://{user}:{password}@host/{tail.replace('S3', '')}")
    assert "S3" not in shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("cannot reach 'redis://u:hunter2@h/0': refused", "cannot reach 'redis://u:***@h/0': refused"),
        ("host=h password=hunter2 port=1", "host=h password=*** port=1"),
        ("password = 'hunter2 and more', x", "password = ***, x"),
        ('{"api_key": "hunter2", "host": "h"}', '{"api_key": ***, "host": "h"}'),
        ("Authorization: Bearer hunter2 sent", "Authorization: *** sent"),
        ("two: redis://:hunter2@a, redis://:hunter2@b.", "two: redis://:***@a, redis://:***@b."),
        ("see https://example.org/page for help", "see https://example.org/page for help"),
        ("the table is locked", "the table is locked"),
    ],
)
def test_text_of_others_loses_its_secrets(text: str, shown: str) -> None:
    assert mask_text(text) == shown


@pytest.mark.parametrize(
    "name",
    [
        *(
            "password",
            "PASSWORD",
            "sslpassword",
            "db_pw",
            "pwd",
            "api_key",
            "apiKey",
            "key",
            "token",
            "authToken",
        ),
        *("client-secret", "AWSSecretAccessKey", "X-Amz-Credential", "passphrase", "sas", "encryption_keys"),
    ],
)
def test_secret_names(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name", ["host", "keyfile", "monkey", "bypass_cache", "author", "sigma", "turnkey", "pool_size", ""]
)
def test_harmless_names(name: str) -> None:
    assert not is_secret_name(name)
