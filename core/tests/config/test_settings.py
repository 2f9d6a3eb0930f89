"""What `config show` shows: each value, where it was written, and no secret."""

from collections.abc import Callable

from daystore.config import Config

Read = Callable[..., Config]


def shown(config: Config) -> dict[str, object]:
    return {setting.key: setting.value for setting in config.settings}


def origins(config: Config) -> dict[str, str]:
    return {key: str(origin) for key, origin in config.origins.items()}


def test_every_value_has_its_line(read: Read) -> None:
    text = '''# a comment with [backends.wrong]
default = "b"  # here

[backends]
"a" = { adapter = "memory" }
b.url = """\\
    memory://"""
b.timeout = 5

[stores.x]
middleware = [
    # not a key = 1
    "plain",

    { name = "stamp", level = 3 },
]
ttl = "1d"

[[stores.y.middleware]]
name = "plain"
[[stores.y.middleware]]
name = "stamp"
level = 2
'''
    config = read(text)
    where = origins(config)
    assert where["default"] == "agent.toml:2"
    assert where["backends.a.adapter"] == "agent.toml:5"
    assert where["backends.b.url"] == "agent.toml:6"
    assert where["backends.b.timeout"] == "agent.toml:8"
    assert where["backends.b.namespace"] == "default"
    assert where["stores.x.middleware[1].level"] == "agent.toml:11"
    assert where["stores.x.ttl"] == "agent.toml:17"
    assert where["stores.y.middleware[1].level"] == "agent.toml:23"
    assert where["stores.y.backend"] == "default"
    assert shown(config)["stores.y.backend"] == "b"
    assert shown(config)["stores.x.middleware[0]"] == "plain"


def test_settings_come_in_the_order_of_the_models(read: Read) -> None:
    config = read("[stores.x]\nttl = 5\n[backends.a]\nnamespace = 'n'\nadapter = 'memory'\n")
    assert [setting.key for setting in config.settings] == [
        "default", "coordinator", "backends.a.adapter", "backends.a.namespace", "backends.a.timeout",
        "backends.a.coalesce",
        "stores.x.backend", "stores.x.collection", "stores.x.serializer", "stores.x.middleware",
        "stores.x.consistency", "stores.x.ttl",
    ]  # fmt: skip
    assert shown(config)["stores.x.consistency"] == "eventual"


def test_secrets_are_masked_wherever_they_stand(read: Read) -> None:
    text = """
[backends.a]
url = "good://user:hunter2@host/x?password=hunter2"
options = { api_token = "hunter2", bucket = "good://u:hunter2@other" }
[backends.secrets]
url = "good://host/${MY_TOKEN}"
options = { bucket = "${MY_PASSWORD}", pool_size = 3 }
"""
    config = read(
        "default = 'a'\n" + text,
        MY_TOKEN="hunter2",
        MY_PASSWORD="hunter2",
        DAYSTORE_BACKENDS__A__NAMESPACE="n",
    )
    values = shown(config)
    assert "hunter2" not in str(config.settings)
    assert values["backends.a.url"] == "good://user:***@host/x?password=***"
    assert values["backends.a.options.api_token"] == "***"
    assert values["backends.a.options.bucket"] == "good://u:***@other"
    assert values["backends.secrets.url"] == "good://host/***"
    assert values["backends.secrets.options.bucket"] == "***"
    assert values["backends.secrets.options.pool_size"] == 3
    assert config.storage.backends["secrets"].options["bucket"] == "hunter2"


def test_secret_in_the_environment_is_masked(read: Read) -> None:
    config = read(
        DAYSTORE_BACKENDS__A__URL="good://:hunter2@h", DAYSTORE_BACKENDS__A__OPTIONS__API_TOKEN="[hunter2"
    )
    assert shown(config)["backends.a.url"] == "good://:***@h"
    assert origins(config)["backends.a.options.api_token"] == "DAYSTORE_BACKENDS__A__OPTIONS__API_TOKEN"
    assert "hunter2" not in str(config.settings)
    assert config.storage.backends["a"].options["api_token"] == "[hunter2"
