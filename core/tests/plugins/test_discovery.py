"""Which plugins are loaded, which are not, and what is said of those."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from daystore.errors import ConfigError
from daystore.plugins import Plugins, default_plugins

Install = Callable[..., Path]
OTHERS = {"DAYSTORE_DISABLE_PLUGINS": "daystore-mongo,daystore-redis,daystore-s3,daystore-sql"}


def load(**environ: str) -> Plugins:
    return Plugins.load({**OTHERS, **environ})


def reasons(plugins: Plugins) -> dict[str, str]:
    return {failure.plugin: failure.reason for failure in plugins.failures}


def test_the_core_brings_its_own_parts_through_the_same_hooks() -> None:
    plugins = load()
    assert plugins.adapter("memory").factory == "daystore.adapters.memory:MemoryAdapter"
    assert plugins.serializers["json"].content_type == "application/json"
    assert {"config", "doctor", "plugins"} <= plugins.commands.keys()
    assert plugins.failures == ()


def test_declared_capabilities_of_the_memory_adapter_are_those_of_its_class() -> None:
    plugins = load()
    declared = plugins.adapter("memory").capabilities
    assert declared == plugins.adapter_class("memory").capabilities.names()


def test_good_plugin_is_loaded_with_all_its_parts(install: Install) -> None:
    install("good")
    plugins = load()
    assert plugins.failures == ()
    assert plugins.adapters["good"].schemes == ("good", "good+tls")
    assert "reversed" in plugins.serializers
    assert {"plain", "stamp"} <= plugins.middleware.keys()
    assert "rot" in plugins.codecs
    assert "weather" in plugins.health_checks
    assert "greet" in plugins.commands


def test_listing_imports_no_driver_no_model_and_no_pydantic(install: Install) -> None:
    install("good")
    look = """
import sys
from daystore.plugins import Plugins
from daystore.plugins.report import report
assert any(row.name == "good" for row in report(Plugins.load({"DAYSTORE_PLUGINS": "good"})))
loaded = {name for name in sys.modules if name.startswith("daystore_fixture")}
assert loaded == {"daystore_fixture_good", "daystore_fixture_good.plugin"}, loaded
assert "pydantic" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", look], check=True, timeout=60)


def test_broken_plugin_is_a_failure_with_its_reason_and_everything_else_goes_on(install: Install) -> None:
    install("good", "broken")
    plugins = load()
    (failure,) = plugins.failures
    assert (failure.plugin, failure.distribution, failure.version) == (
        "broken",
        "daystore-fixture-broken",
        "0.3.0",
    )
    assert "No module named 'daystore_fixture_nowhere'" in failure.reason
    assert "good" in plugins.adapters


def test_misspelt_hook_is_noticed_and_nothing_of_its_plugin_stays(install: Install) -> None:
    install("misspelt")
    plugins = load()
    assert "'daystore_adaptors'; did you mean 'daystore_adapters'?" in reasons(plugins)["misspelt"]
    assert "halfway" not in plugins.adapters


def test_old_plugin_api_is_a_failure_that_says_so(install: Install) -> None:
    install("old-api")
    plugins = load()
    reason = reasons(plugins)["old-api"]
    assert reason.startswith("made for plugin API 0, this daystore has plugin API 1")
    assert "upgrade daystore-fixture-old-api" in reason
    assert "antique" not in plugins.adapters


def test_failures_come_in_the_order_of_distributions(install: Install) -> None:
    install("misspelt", "broken", "old-api")
    assert [failure.plugin for failure in load().failures] == ["broken", "misspelt", "old-api"]


def write_distribution(site: Path, name: str, entry_points: str, module: str = "") -> None:
    info = site / f"daystore_fixture_{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: daystore-fixture-{name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(entry_points)
    (site / f"daystore_fixture_{name}.py").write_text(module)


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        ("raise SystemExit(3)", "it cannot be imported: SystemExit: 3"),
        ("1 +", "it cannot be imported: SyntaxError"),
        ("raise RuntimeError('redis://user:hunter2@host is down')", "redis://user:***@host is down"),
        ("def daystore_adapters(): return []", "'daystore_adapters' lacks the marker @hookimpl"),
        ("x = 1", "it has no hook; the hooks are: 'daystore_adapters'"),
        ("@hookimpl\ndef daystore_adapters(context): return []", "it cannot be registered"),
        (
            "@hookimpl\ndef daystore_adapters(): 1 / 0",
            "its hook 'daystore_adapters' failed: ZeroDivisionError",
        ),
        ("@hookimpl\ndef daystore_adapters(): return 5", "its hook 'daystore_adapters' failed: TypeError"),
        ("@hookimpl\ndef daystore_adapters(): return ['redis']", "returns str, not AdapterSpec"),
        (
            "@hookimpl\ndef daystore_adapters(): return [CodecSpec(name='x', factory='a:b')]",
            "returns CodecSpec, not AdapterSpec",
        ),
        (
            "@hookimpl\ndef daystore_adapters(): return [AdapterSpec(name='x', factory='a.b.C')]",
            "AdapterSpec.factory has to look like 'package.module:Class', not 'a.b.C'",
        ),
        (
            "@hookimpl\ndef daystore_adapters(): return [AdapterSpec(name='x', factory='a:b', schemes='x')]",
            "AdapterSpec.schemes has to be a tuple of str",
        ),
        (
            "@hookimpl\ndef daystore_adapters(): return [AdapterSpec(name='x', factory='a:b', schemes=('X',))]",
            "a URL scheme has to look like 'redis'",
        ),
        (
            "DAYSTORE_PLUGIN_API = 2",
            "made for plugin API 2, this daystore has plugin API 1: upgrade daystore",
        ),
    ],
)
def test_every_way_to_be_broken_is_a_failure_with_a_reason(
    install: Install, module: str, reason: str
) -> None:
    site = install("good")
    imports = "from daystore.hookspecs import AdapterSpec, CodecSpec, hookimpl\n"
    write_distribution(site, "odd", "[daystore]\nodd = daystore_fixture_odd\n", imports + module)
    plugins = load()
    assert reason in reasons(plugins)["odd"]
    assert "hunter2" not in reasons(plugins)["odd"]
    assert "good" in plugins.adapters


@pytest.mark.parametrize(
    ("entry_points", "reason"),
    [
        ("[daystore]\nodd = no such module!\n", "is not of the form 'package.module'"),
        ("[daystore]\nodd = daystore_fixture_odd:nothing\n", "has no attribute 'nothing'"),
        ("[daystore]\njust a line\n", "entry_points.txt cannot be read"),
    ],
)
def test_entry_points_that_make_no_sense_are_failures(
    install: Install, entry_points: str, reason: str
) -> None:
    site = install("good")
    write_distribution(site, "odd", entry_points)
    plugins = load()
    assert [reason in failure.reason for failure in plugins.failures] == [True]
    assert plugins.failures[0].distribution == "daystore-fixture-odd"
    assert "good" in plugins.adapters


def test_the_first_copy_of_a_distribution_on_the_path_counts(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("good")
    shadow = tmp_path / "first"
    shadow.mkdir()
    info = shadow / "daystore_fixture_good-9.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: Daystore_Fixture.Good\nVersion: 9\n")
    (info / "entry_points.txt").write_text("[daystore]\ngood = daystore_fixture_good.plugin\n")
    monkeypatch.syspath_prepend(shadow)
    plugins = load()
    assert plugins.failures == ()
    assert {claim.source.version for claim in plugins.catalogs()[0].claims.values()} >= {"9"}


# --- The environment's switches ---------------------------------------------------------------------------


@pytest.mark.parametrize("names", ["good", "daystore-fixture-good", "Daystore_Fixture.GOOD , other"])
def test_allow_list_names_plugins_or_distributions(install: Install, names: str) -> None:
    install("good", "broken")
    plugins = load(DAYSTORE_PLUGINS=names)
    assert "good" in plugins.adapters
    assert "broken" not in reasons(plugins)
    assert ("broken", "not among those that DAYSTORE_PLUGINS names") in [
        (off.source.plugin, off.reason) for off in plugins.disabled
    ]
    assert "memory" in plugins.adapters


def test_misspelt_name_on_the_allow_list_is_a_failure(install: Install) -> None:
    install("good")
    plugins = load(DAYSTORE_PLUGINS="godo")
    assert reasons(plugins)["godo"].endswith("but it is not installed; did you mean 'good'?")


@pytest.mark.parametrize("names", ["good", "*", "daystore.fixture_good,x"])
def test_deny_list_switches_off_and_wins(install: Install, names: str) -> None:
    install("good")
    plugins = Plugins.load({"DAYSTORE_PLUGINS": "good", "DAYSTORE_DISABLE_PLUGINS": names})
    assert "good" not in plugins.adapters
    assert "memory" in plugins.adapters


def test_denied_plugin_is_not_even_imported(install: Install) -> None:
    install("broken")
    assert load(DAYSTORE_DISABLE_PLUGINS="daystore-sql,broken").failures == ()


def test_strict_mode_makes_every_failure_fatal_and_lists_them(install: Install) -> None:
    install("broken", "misspelt")
    with pytest.raises(ConfigError, match="DAYSTORE_STRICT_PLUGINS makes that fatal") as caught:
        load(DAYSTORE_STRICT_PLUGINS="1")
    assert "daystore-fixture-broken 0.3.0" in str(caught.value)
    assert "did you mean 'daystore_adapters'" in str(caught.value)


def test_strict_mode_passes_where_nothing_failed(install: Install) -> None:
    install("good")
    assert "good" in load(DAYSTORE_STRICT_PLUGINS="yes").adapters


def test_strict_mode_has_to_be_yes_or_no() -> None:
    with pytest.raises(ConfigError, match="DAYSTORE_STRICT_PLUGINS is 1 or 0"):
        load(DAYSTORE_STRICT_PLUGINS="maybe")


@pytest.fixture
def fresh_defaults() -> Iterator[None]:
    default_plugins.cache_clear()
    yield
    default_plugins.cache_clear()


def test_default_plugins_are_loaded_once(install: Install, fresh_defaults: None) -> None:
    first = default_plugins()
    install("good")
    assert default_plugins() is first
    assert "good" not in first.adapters
