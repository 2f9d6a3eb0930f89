"""What a configuration says, from wherever it is written."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from daystore.abc import EVENTUAL, STRONG, bounded
from daystore.config import Config
from daystore.config.models import MiddlewareConfig
from daystore.errors import ConfigError
from daystore.plugins import Plugins

Read = Callable[..., Config]

FULL = """
default = "main"

[backends.main]
url = "good://host/bucket?daystore_bucket=b"
namespace = "agents"
timeout = 2.5
options = { pool_size = 8 }

[backends.scratch]
adapter = "memory"
timeout = "none"

[stores.contexts]
backend = "scratch"
collection = "conversations"
serializer = "reversed"
middleware = [
    "plain",
    { name = "stamp", level = 3 },
]
consistency = { bounded = 5 }
ttl = "30d"

[stores.notes]
"""


def test_everything_that_can_be_said(read: Read) -> None:
    storage = read(FULL).storage
    assert storage.default == "main"
    main, scratch = storage.backends["main"], storage.backends["scratch"]
    assert (main.url, main.adapter) == ("good://host/bucket?daystore_bucket=b", None)
    assert (main.namespace, main.timeout, main.options) == ("agents", 2.5, {"pool_size": 8})
    assert (scratch.url, scratch.adapter, scratch.timeout) == (None, "memory", None)
    contexts = storage.stores["contexts"]
    assert (contexts.backend, contexts.collection, contexts.serializer) == (
        "scratch",
        "conversations",
        "reversed",
    )
    assert contexts.middleware == (
        MiddlewareConfig.model_validate("plain"),
        MiddlewareConfig.model_validate({"name": "stamp", "level": 3}),
    )
    assert contexts.middleware[1].options == {"level": 3}
    assert (contexts.consistency, contexts.ttl) == (bounded(5), timedelta(days=30))


def test_what_is_not_said_has_its_default(read: Read) -> None:
    storage = read('[backends.only]\nurl = "memory://"\n[stores.notes]\n').storage
    assert storage.default == "only"
    notes = storage.stores["notes"]
    assert (notes.backend, notes.collection, notes.serializer) == ("only", "notes", "json")
    assert (notes.middleware, notes.consistency, notes.ttl) == ((), EVENTUAL, None)
    assert (storage.backends["only"].namespace, storage.backends["only"].timeout) == ("daystore", 30.0)


def test_toml_yaml_and_a_mapping_say_the_same(read: Read) -> None:
    yaml = """
default: main
backends:
  main:
    url: good://host/bucket?daystore_bucket=b
    namespace: agents
    timeout: 2.5
    options: {pool_size: 8}
  scratch:
    adapter: memory
    timeout: null
stores:
  contexts:
    backend: scratch
    collection: conversations
    serializer: reversed
    middleware:
      - plain
      - name: stamp
        level: 3
    consistency: {bounded: 5}
    ttl: 30d
  notes: {}
"""
    from_toml = read(FULL).storage
    assert read(yaml, file="agent.yaml").storage == from_toml
    mapping = {
        "default": "main",
        "backends": {
            "main": {
                "url": "good://host/bucket?daystore_bucket=b",
                "namespace": "agents",
                "timeout": 2.5,
                "options": {"pool_size": 8},
            },
            "scratch": {"adapter": "memory", "timeout": None},
        },
        "stores": {
            "contexts": {
                "backend": "scratch",
                "collection": "conversations",
                "serializer": "reversed",
                "middleware": ("plain", {"name": "stamp", "level": 3}),
                "consistency": bounded(5),
                "ttl": timedelta(days=30),
            },
            "notes": {},
        },
    }
    assert read(mapping).storage == from_toml


@pytest.mark.parametrize(
    ("written", "consistency"), [("eventual", EVENTUAL), ("strong", STRONG), ({"bounded": 0.5}, bounded(0.5))]
)
def test_consistency(read: Read, written: object, consistency: object) -> None:
    tree = {"backends": {"a": {"url": "memory://"}}, "stores": {"x": {"consistency": written}}}
    assert read(tree).storage.stores["x"].consistency == consistency


def test_mapping_is_copied_and_its_references_are_no_references(read: Read) -> None:
    tree: Any = {"backends": {"a": {"url": "good://h", "options": {"bucket": "${HOME}"}}}}
    config = read(tree)
    tree["backends"]["a"]["options"]["bucket"] = "other"
    assert config.storage.backends["a"].options == {"bucket": "${HOME}"}


def test_arguments_beat_environment_beats_file_beats_defaults(read: Read) -> None:
    text = """
[backends.a]
url = "memory://"
namespace = "file"
timeout = 1
[stores.x]
ttl = "1d"
"""
    config = read(
        text,
        {"backends": {"a": {"namespace": "argument"}}},
        DAYSTORE_BACKENDS__A__NAMESPACE="environment",
        DAYSTORE_BACKENDS__A__TIMEOUT="2",
    )
    backend = config.storage.backends["a"]
    assert (backend.namespace, backend.timeout) == ("argument", 2.0)
    kinds = {key: origin.kind for key, origin in config.origins.items()}
    assert kinds["backends.a.namespace"] == "argument"
    assert kinds["backends.a.timeout"] == "environment"
    assert kinds["backends.a.url"] == "file"
    assert kinds["stores.x.ttl"] == "file"
    assert kinds["stores.x.serializer"] == "default"


def test_lists_are_replaced_as_a_whole(read: Read) -> None:
    text = (
        '[backends.a]\nurl = "memory://"\n[stores.x]\nmiddleware = ["plain", {name = "stamp", level = 3}]\n'
    )
    config = read(text, DAYSTORE_STORES__X__MIDDLEWARE='["stamp"]')
    assert [item.name for item in config.storage.stores["x"].middleware] == ["stamp"]
    assert config.origins["stores.x.middleware[0]"].where == "DAYSTORE_STORES__X__MIDDLEWARE"
    assert "stores.x.middleware[1].level" not in config.origins


def test_origins_of_what_is_replaced_go_with_it(read: Read) -> None:
    text = "backends: {a: {url: 'memory://'}}\nstores:\n  x:\n    middleware:\n      - plain\n"
    config = read(text, file="agent.yaml", DAYSTORE_STORES__X__MIDDLEWARE='["stamp"]')
    assert config.origins["stores.x.middleware[0]"].where == "DAYSTORE_STORES__X__MIDDLEWARE"


# --- Where it is found ------------------------------------------------------------------------------------

ONE = '[backends.{}]\nurl = "memory://"\n'


def test_file_is_found_in_the_documented_order(read: Read) -> None:
    Path("pyproject.toml").write_text(
        '[project]\nname = "x"\n[tool.daystore.backends.project]\nurl = "memory://"\n'
    )
    config = read()
    assert (config.source, config.storage.default) == ("pyproject.toml", "project")
    assert config.origins["backends.project.url"].where == "pyproject.toml:4"
    Path("daystore.toml").write_text(ONE.format("local"))
    assert read().storage.default == "local"
    Path("named.yaml").write_text("backends: {named: {url: 'memory://'}}")
    assert read(DAYSTORE_CONFIG="named.yaml").storage.default == "named"
    assert read(ONE.format("argument"), DAYSTORE_CONFIG="named.yaml").storage.default == "argument"


def test_pyproject_without_a_table_for_daystore_is_passed_over(read: Read) -> None:
    Path("pyproject.toml").write_text('[tool.other]\nnote = "tool.daystore"\n')
    with pytest.raises(ConfigError, match="there is no configuration"):
        read()


def test_environment_alone_is_enough(read: Read) -> None:
    config = read(DAYSTORE_BACKENDS__MAIN__URL="memory://", DAYSTORE_STORES__NOTES__TTL="1h")
    assert config.source == "the environment"
    assert config.storage.stores["notes"].ttl == timedelta(hours=1)


def test_tables_and_lists_in_the_environment_are_json(read: Read) -> None:
    config = read(
        DAYSTORE_BACKENDS__MAIN='{"url": "good://h", "options": {"pool_size": 2}}',
        DAYSTORE_STORES__X__MIDDLEWARE='["plain", {"name": "stamp", "level": 2}]',
        DAYSTORE_STORES__X__CONSISTENCY__BOUNDED="5",
    )
    assert config.storage.backends["main"].options == {"pool_size": 2}
    assert config.storage.stores["x"].middleware[1].options == {"level": 2}
    assert config.storage.stores["x"].consistency == bounded(5)
    assert config.origins["backends.main.options.pool_size"].where == "DAYSTORE_BACKENDS__MAIN"


def test_environment_can_take_a_lifetime_away(read: Read) -> None:
    text = '[backends.a]\nurl = "memory://"\n[stores.x]\nttl = "1d"\n'
    assert read(text, DAYSTORE_STORES__X__TTL="none").storage.stores["x"].ttl is None


def test_nothing_at_all_says_what_can_be_done(read: Read) -> None:
    with pytest.raises(
        ConfigError, match=r"name a file.*DAYSTORE_CONFIG.*daystore\.toml.*DAYSTORE_BACKENDS__MAIN__URL"
    ):
        read(DAYSTORE_PLUGINS="good")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nowhere.toml", "'nowhere.toml' cannot be read: No such file"),
        (".", r"'\.' cannot be read: Is a directory"),
        ("agent.ini", "ends in .toml, .yaml or .yml"),
        ("redis://user:hunter2@host", r"a URL is opened with Storage.open"),
    ],
)
def test_what_is_no_file_is_refused(plugins: Plugins, read: Read, source: str, message: str) -> None:
    from daystore.config import load

    Path("agent.ini").write_text("")
    with pytest.raises(ConfigError, match=message) as caught:
        load(source, {}, plugins=plugins)
    assert "hunter2" not in str(caught.value)


def test_file_that_the_environment_names_has_to_exist(read: Read) -> None:
    with pytest.raises(ConfigError, match=r"DAYSTORE_CONFIG names 'gone\.toml', which is no file"):
        read(DAYSTORE_CONFIG="gone.toml")


def test_byte_order_mark_and_windows_lines_are_read(read: Read) -> None:
    Path("agent.toml").write_bytes(b'\xef\xbb\xbf[backends.a]\r\nurl = "memory://"\r\n')
    from daystore.config import load

    config = load(Path("agent.toml"), {})
    assert config.origins["backends.a.url"].where == "agent.toml:2"


# --- What comes of it -------------------------------------------------------------------------------------


def test_backend_makes_its_adapter_of_url_options_and_settings(read: Read, plugins: Plugins) -> None:
    storage = read(FULL).storage
    main = cast("Any", storage.backends["main"].make_adapter(plugins))
    assert main.url == "good://host/bucket"
    assert main.options == {"bucket": "b", "pool_size": 8}
    assert (main.namespace, main.timeout) == ("agents", 2.5)
    scratch = storage.backends["scratch"].make_adapter(plugins)
    assert (scratch.name, scratch.namespace, scratch.timeout) == ("memory", "daystore", None)


def test_what_the_backend_does_not_say_the_url_may(read: Read, plugins: Plugins) -> None:
    config = read('[backends.a]\nurl = "memory://?daystore_namespace=n&daystore_timeout=5"\n')
    adapter = config.storage.backends["a"].make_adapter(plugins)
    assert (adapter.namespace, adapter.timeout) == ("n", 5.0)


@pytest.mark.parametrize(
    ("text", "environ", "coalesces"),
    [
        ("url = 'memory://'", {}, False),
        ("url = 'memory://'\ncoalesce = true", {}, True),
        ("url = 'memory://'\ncoalesce = 'default'", {}, False),
        ("url = 'memory://?daystore_coalesce=true'", {}, True),
        ("url = 'memory://?daystore_coalesce=true'\ncoalesce = false", {}, False),
        ("adapter = 'memory'\ncoalesce = false", {"DAYSTORE_BACKENDS__A__COALESCE": "true"}, True),
    ],
)
def test_backend_says_whether_its_adapter_coalesces(
    read: Read, plugins: Plugins, text: str, environ: dict[str, str], coalesces: bool
) -> None:
    config = read(f"[backends.a]\n{text}\n", **environ)
    assert config.storage.backends["a"].make_adapter(plugins).coalesce is coalesces


def test_repr_holds_no_secret(read: Read) -> None:
    config = read('[backends.a]\nurl = "good://u:hunter2@h"\noptions = { api_token = "hunter2" }\n')
    assert "hunter2" not in repr(config) + repr(config.storage) + str(config.settings)
