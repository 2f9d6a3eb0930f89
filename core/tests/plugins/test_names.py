"""Finding things by name, names that several plugins claim, and names that nobody has."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from daystore.abc import Serializer
from daystore.errors import ConfigError, UnknownAdapter, UnknownCodec
from daystore.hookspecs import AdapterSpec
from daystore.plugins import Plugins, Source, advice
from daystore.plugins.lazy import missing_dependency
from daystore.plugins.records import LoadedPlugin

Install = Callable[..., Path]
OTHERS = {"DAYSTORE_DISABLE_PLUGINS": "daystore-mongo,daystore-redis,daystore-s3,daystore-sql"}


@pytest.fixture
def good(install: Install) -> Plugins:
    install("good")
    return Plugins.load(OTHERS)


@pytest.fixture
def clashing(install: Install) -> Plugins:
    install("good", "clashing")
    return Plugins.load(OTHERS)


# --- URLs and options -------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["good://host/x", "GOOD://host", "good+tls://host", "good+anything://host"])
def test_adapter_is_found_by_the_scheme_of_a_url(good: Plugins, url: str) -> None:
    assert good.adapter_for_url(url).name == "good"


def test_opened_adapter_gets_its_url_without_our_parameters(good: Plugins) -> None:
    adapter = cast(
        "Any", good.open_adapter("good://h/b?x=1&daystore_pool_size=8&daystore_namespace=n", timeout="2s")
    )
    assert adapter.url == "good://h/b?x=1"
    assert adapter.options == {"pool_size": 8}
    assert (adapter.namespace, adapter.timeout) == ("n", 2.0)


def test_options_of_the_call_win_over_those_of_the_url(good: Plugins) -> None:
    adapter = cast("Any", good.open_adapter("good://h?daystore_pool_size=8", pool_size=9))
    assert adapter.options == {"pool_size": 9}


def test_adapter_can_be_made_of_options_alone(good: Plugins) -> None:
    adapter = cast("Any", good.make_adapter("good", bucket="b"))
    assert (adapter.url, adapter.options) == ("good://", {"bucket": "b"})


def test_every_wrong_option_is_named_with_the_nearest_right_one(good: Plugins) -> None:
    with pytest.raises(ConfigError) as caught:
        good.open_adapter("good://h?daystore_pool_size=many", buckt="x", timeout=-1, clock="noon")
    message = str(caught.value)
    assert "has no option 'buckt'; did you mean 'bucket'?" in message
    assert "option 'pool_size' of the adapter 'good': should be a valid integer" in message
    assert "a timeout is a positive number of seconds" in message
    assert "a clock is a function" in message


def test_adapter_without_a_model_has_the_common_options_only() -> None:
    plugins = Plugins.load(OTHERS)
    assert plugins.open_adapter("memory://", namespace="n").namespace == "n"
    with pytest.raises(ConfigError, match="has no option 'namespce'; did you mean 'namespace'"):
        plugins.open_adapter("memory://", namespce="n")


@pytest.mark.parametrize("text", ["", "memory", "user:hunter2@host", "://host", "hunter2"])
def test_what_is_no_url_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(ConfigError, match="not a URL") as caught:
        Plugins.load(OTHERS).open_adapter(text)
    assert "hunter2" not in str(caught.value)


# --- Unknown names ----------------------------------------------------------------------------------------


@pytest.fixture
def unpublished(monkeypatch: pytest.MonkeyPatch) -> None:
    """One official backend more, which is not installed here."""
    monkeypatch.setitem(advice._OFFICIAL, "nats", "daystore-nats")


@pytest.mark.usefixtures("unpublished")
def test_unknown_adapter_says_what_to_install() -> None:
    with pytest.raises(UnknownAdapter, match=r"install it: pip install daystore-nats;.*installed: memory"):
        Plugins.load(OTHERS).adapter("nats")


def test_adapter_that_is_switched_off_says_so() -> None:
    with pytest.raises(UnknownAdapter, match=r"'mongo'.*daystore-mongo 0.1.0: switched off by") as caught:
        Plugins.load(OTHERS).adapter("mongo")
    assert "install it" not in str(caught.value)


@pytest.mark.parametrize(
    "scheme", ["postgresql+asyncpg", "mysql", "mariadb", "rediss", "mongodb+srv", "sqlite"]
)
def test_unknown_scheme_says_what_to_install_and_shows_no_password(scheme: str) -> None:
    with pytest.raises(UnknownAdapter, match=f"URL scheme '{scheme.replace('+', '.')}'") as caught:
        Plugins.load({"DAYSTORE_DISABLE_PLUGINS": "*"}).open_adapter(f"{scheme}://user:hunter2@host")
    message = str(caught.value)
    assert "hunter2" not in message
    assert "daystore-" in message


@pytest.mark.usefixtures("unpublished")
def test_unknown_adapter_tells_the_nearest_spelling() -> None:
    with pytest.raises(UnknownAdapter, match="did you mean 'memory'"):
        Plugins.load(OTHERS).adapter("memry")
    with pytest.raises(UnknownAdapter, match=r"did you mean 'nats'.; install it: pip install daystore-nats"):
        Plugins.load(OTHERS).adapter("nast")


def test_unknown_adapter_tells_what_failed_to_load_and_why(install: Install) -> None:
    install("broken")
    with pytest.raises(
        UnknownAdapter, match=r"failed to load: plugin 'broken' of daystore-fixture-broken 0.3.0: "
    ):
        Plugins.load(OTHERS).adapter("broken")


def test_unknown_adapter_tells_what_is_switched_off(install: Install) -> None:
    install("good")
    with pytest.raises(UnknownAdapter, match=r"fixture-good 1.2.0: switched off by DAYSTORE_DISABLE_PLUGINS"):
        Plugins.load({"DAYSTORE_DISABLE_PLUGINS": "good,sql"}).adapter("good")


def test_unknown_serializer_names_the_nearest(good: Plugins) -> None:
    with pytest.raises(ConfigError, match="no plugin brings the serializer 'jsno'; did you mean 'json'"):
        good.serializer("jsno")


def test_unknown_content_type_lists_readers_and_failures(install: Install) -> None:
    install("broken")
    with pytest.raises(
        UnknownCodec, match=r"'application/msgpack'; installed: 'application/json'.*'broken'"
    ) as caught:
        Plugins.load(OTHERS).serializer_for("application/msgpack")
    assert caught.value.codec == "application/msgpack"


def test_unknown_codec_is_an_error_of_decoding(good: Plugins) -> None:
    with pytest.raises(UnknownCodec, match="the codec 'zstd'; installed: 'number', 'rot'"):
        good.codec("zstd")


def test_official_plugin_that_does_not_know_a_scheme_is_to_be_upgraded() -> None:
    specs = {"daystore_adapters": [AdapterSpec(name="sql", schemes=("sqlite",), factory="a:b")]}
    plugins = Plugins([LoadedPlugin(Source("sql", "daystore-sql", "0.1.0"), specs)])
    with pytest.raises(UnknownAdapter, match="pip install --upgrade daystore-sql; installed: sqlite"):
        plugins.adapter_for_url("mysql://host")


# --- Parts ------------------------------------------------------------------------------------------------


def test_serializer_is_one_object_by_name_and_by_content_type(good: Plugins) -> None:
    serializer = good.serializer("reversed")
    assert isinstance(serializer, Serializer)
    assert good.serializer_for("text/x-reversed") is serializer
    assert serializer.loads(serializer.dumps("abc")) == "abc"


def test_the_default_serializer_is_found() -> None:
    assert Plugins.load(OTHERS).serializer_for("application/json").name == "json"


def test_codec_middleware_and_their_models_are_found(good: Plugins) -> None:
    assert good.codec("rot").decode(b"ab", collection="c", key="k") == b"ba"
    assert good.codec("rot") is good.codec("rot")
    model = good.middleware_model("stamp")
    assert model is not None
    assert "level" in model.model_fields
    assert good.middleware_model("plain") is None
    assert good.middleware_class("stamp")(level=3) is not None


# --- Missing drivers --------------------------------------------------------------------------------------


def test_missing_driver_names_the_extra_to_install(good: Plugins) -> None:
    with pytest.raises(ConfigError) as caught:
        good.open_adapter("exotic://host")
    message = str(caught.value)
    assert (
        "the adapter 'exotic' of daystore-fixture-good 1.2.0 needs the module 'daystore_fixture_driver'"
        in message
    )
    assert 'pip install "daystore-fixture-good[exotic]"' in message
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)


def test_missing_requirement_names_the_distribution_that_declares_it(install: Install) -> None:
    site = install("good")
    metadata = site / "daystore_fixture_good-1.2.0.dist-info" / "METADATA"
    text = metadata.read_text().replace("; extra == 'exotic'", "")
    metadata.write_text(text)
    assert "Requires-Dist: daystore-fixture-driver>=3\n" in text
    with pytest.raises(ConfigError, match='pip install "daystore-fixture-good"'):
        Plugins.load(OTHERS).open_adapter("exotic://host")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ModuleNotFoundError("gone", name="yaml.nodes"), "needs the module 'yaml'.*pip install \"pyyaml\""),
        (ModuleNotFoundError("gone"), "cannot be imported: ModuleNotFoundError: gone"),
    ],
)
def test_missing_module_that_no_requirement_names(error: ModuleNotFoundError, message: str) -> None:
    found = missing_dependency(error, "part 'x'", Source("p", "not-installed", "1"))
    assert re.search(message, str(found))


def test_factory_that_goes_wrong_is_told_without_secrets(good: Plugins) -> None:
    with pytest.raises(ConfigError, match=r"RuntimeError: lost redis://user:\*\*\*@host"):
        good.middleware_class("faulty")


def test_factory_that_cannot_be_called_is_told(good: Plugins) -> None:
    with pytest.raises(UnknownCodec, match=r"the factory of the codec 'number' .* cannot be called"):
        good.codec("number")


def test_factory_that_is_not_there_is_the_plugins_fault(clashing: Plugins) -> None:
    with pytest.raises(ConfigError, match=r"of daystore-fixture-clashing 2.0.0 cannot be imported from"):
        clashing.open_adapter("rival://host")


# --- Names claimed twice ----------------------------------------------------------------------------------


def test_name_claimed_twice_belongs_to_nobody_and_the_error_names_both(clashing: Plugins) -> None:
    assert "good" not in clashing.adapters
    with pytest.raises(UnknownAdapter) as caught:
        clashing.adapter("good")
    assert "the adapter 'good' is claimed by daystore-fixture-clashing 2.0.0" in str(caught.value)
    assert "and daystore-fixture-good 1.2.0" in str(caught.value)


@pytest.mark.parametrize("scheme", ["good", "exotic"])
def test_scheme_claimed_twice_belongs_to_nobody(clashing: Plugins, scheme: str) -> None:
    with pytest.raises(
        UnknownAdapter, match=f"the URL scheme '{scheme}' is claimed by .*clashing.* and .*good"
    ):
        clashing.open_adapter(f"{scheme}://host")


@pytest.mark.parametrize("scheme", ["other", "good+tls"])
def test_schemes_go_with_the_name_of_their_adapter(clashing: Plugins, scheme: str) -> None:
    with pytest.raises(UnknownAdapter, match="the adapter 'good' is claimed by"):
        clashing.open_adapter(f"{scheme}://host")


def test_content_type_claimed_twice_takes_both_serializers_away(clashing: Plugins) -> None:
    assert not {"reversed", "backwards"} & clashing.serializers.keys()
    with pytest.raises(
        ConfigError, match=r"the content type 'text/x-reversed' is claimed by .*clashing.* and .*good"
    ):
        clashing.serializer("reversed")
    with pytest.raises(UnknownCodec, match="the content type 'text/x-reversed' is claimed by"):
        clashing.serializer_for("text/x-reversed")


def test_what_the_core_brings_nobody_can_take_away(clashing: Plugins) -> None:
    assert clashing.adapter("memory").factory == "daystore.adapters.memory:MemoryAdapter"
    assert clashing.serializer_for("application/json").name == "json"
    assert clashing.commands["doctor"].app == "daystore.cli.doctor:doctor"
    assert "json2" not in clashing.serializers
    lost = [failure.reason for failure in clashing.failures if "the core's own stays" in failure.reason]
    assert len(lost) == 4  # the adapter, its scheme, the content type, the command
    with pytest.raises(UnknownAdapter, match="the adapter 'memory' is claimed by"):
        clashing.open_adapter("ram://")


def test_everything_that_does_not_clash_goes_on(clashing: Plugins) -> None:
    assert clashing.adapter("unique").name == "unique"
    assert clashing.adapter("rival").schemes == ("exotic", "rival")
    assert "greet" in clashing.commands


def test_clash_is_a_failure_of_each_plugin_and_fatal_in_strict_mode(clashing: Plugins) -> None:
    about = [failure for failure in clashing.failures if "the adapter 'good'" in failure.reason]
    assert [failure.plugin for failure in about] == ["clashing", "good"]
    with pytest.raises(ConfigError, match="makes that fatal"):
        Plugins.load({**OTHERS, "DAYSTORE_STRICT_PLUGINS": "1"})
