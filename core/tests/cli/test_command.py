"""The command as a process: what it prints, and the code it ends with."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]
Install = Callable[..., Path]

ONLY = {"DAYSTORE_DISABLE_PLUGINS": "daystore-sql"}


def test_version(daystore: Run) -> None:
    done = daystore("--version")
    assert (done.returncode, done.stdout) == (0, metadata.version("daystore") + "\n")


def test_help_lists_commands_and_imports_none_of_them(daystore: Run, install: Install) -> None:
    install("good")
    done = daystore("--help")
    assert done.returncode == 0
    assert "Say hello." in done.stdout
    assert "Needs the driver." in done.stdout
    assert "--debug" in done.stdout


def test_the_script_of_the_distribution_is_this_command() -> None:
    (script,) = metadata.entry_points(group="console_scripts", name="daystore")
    assert script.value == "daystore.cli:main"


@pytest.mark.parametrize("missing", ["cyclopts", "rich"])
def test_without_the_extra_one_line_says_what_to_install(missing: str) -> None:
    look = f"""
import sys
sys.modules[{missing!r}] = None
from daystore.cli import main
sys.exit(main(["plugins"]))
"""
    done = subprocess.run(
        [sys.executable, "-c", look], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 2
    assert done.stderr == 'daystore: the command needs an extra: pip install "daystore[cli]"\n'


# --- Errors -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["plugin"], "no plugin brings the command 'plugin'; did you mean 'plugins'?"),
        (["config", "show", "--fil", "x"], "Did you mean --file?"),
        (["config", "show", "--file", "none.toml"], "'none.toml' cannot be read: No such file or directory"),
        (["config", "show"], "there is no configuration"),
        (["doctor", "--timeout", "soon"], "Invalid value for --timeout"),
    ],
)
def test_command_line_or_configuration_at_fault_ends_with_2(
    daystore: Run, arguments: list[str], message: str
) -> None:
    done = daystore(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_unknown_command_is_told_although_another_one_cannot_be_imported(
    daystore: Run, install: Install
) -> None:
    install("good")
    done = daystore("greeet")
    assert (done.returncode, done.stderr) == (
        2,
        "daystore: no plugin brings the command 'greeet'; did you mean 'greet'?\n",
    )


def test_debug_shows_where_an_error_comes_from(daystore: Run) -> None:
    for arguments in (["--debug", "config", "show"], ["config", "show", "--debug"]):
        done = daystore(*arguments)
        assert done.returncode == 2
        assert "Traceback" in done.stderr
        assert done.stderr.endswith("BACKENDS__MAIN__URL\n")


def test_error_of_a_backend_ends_with_1(daystore: Run, install: Install) -> None:
    install("good")
    done = daystore("stumble", "backend")
    assert (done.returncode, done.stderr) == (
        1,
        "daystore: BackendUnavailable: the disk is full [good/write]\n",
    )


def test_defect_is_one_line_without_secrets_and_ends_with_70(daystore: Run, install: Install) -> None:
    install("good")
    done = daystore("stumble", "otherwise")
    assert done.returncode == 70
    assert (
        done.stderr == "daystore: unexpected RuntimeError: lost redis://user:***@host (--debug shows where)\n"
    )


def test_reader_that_goes_away_is_no_error(install: Install) -> None:
    command = f"{sys.executable} -W error -m daystore.cli plugins --json | head -c 1"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout, done.stderr) == ("[", "")


def test_interruption_ends_with_130(install: Install) -> None:
    install("good")
    command = [sys.executable, "-u", "-m", "daystore.cli", "wait"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (130, "")


# --- Commands of plugins ----------------------------------------------------------------------------------


def test_async_command_of_a_plugin_runs_and_its_number_is_the_exit_code(
    daystore: Run, install: Install
) -> None:
    install("good")
    done = daystore("greet", "you", "--loudly")
    assert (done.returncode, done.stdout, done.stderr) == (5, "HELLO YOU\n", "")


def test_command_whose_driver_is_missing_says_what_to_install(daystore: Run, install: Install) -> None:
    install("good")
    done = daystore("exotic")
    assert done.returncode == 2
    assert 'pip install "daystore-fixture-good[exotic]"' in done.stderr
    assert "Traceback" not in done.stderr


# --- daystore plugins -------------------------------------------------------------------------------------


def rows(done: subprocess.CompletedProcess[str]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(row["kind"], row["name"]): row for row in json.loads(done.stdout)}


def test_plugins_as_json_tell_everything(daystore: Run, install: Install) -> None:
    install("good", "broken", "clashing", "misspelt", "old-api")
    done = daystore("plugins", "--json", **ONLY)
    assert done.returncode == 0
    found = rows(done)
    memory = found["adapter", "memory"]
    assert (memory["distribution"], memory["status"], memory["schemes"]) == ("daystore", "ok", ["memory"])
    assert "atomic_batch" in memory["capabilities"]
    assert found["adapter", "unique"]["distribution"] == "daystore-fixture-clashing"
    assert found["adapter", "unique"]["version"] == "2.0.0"
    assert found["serializer", "json"]["content_type"] == "application/json"
    assert ("adapter", "good") not in found
    failed = [row for row in json.loads(done.stdout) if row["status"] == "failed"]
    reasons = {
        name: [row["reason"] for row in failed if row["name"] == name] for name in {r["name"] for r in failed}
    }
    assert sorted(reasons) == ["broken", "clashing", "good", "misspelt", "old-api"]
    assert "No module named 'daystore_fixture_nowhere'" in reasons["broken"][0]
    assert "did you mean 'daystore_adapters'?" in reasons["misspelt"][0]
    assert "made for plugin API 0" in reasons["old-api"][0]
    assert any("the adapter 'good' is claimed by" in reason for reason in reasons["good"])


def test_plugins_as_a_table_tell_everything(daystore: Run, install: Install) -> None:
    install("good", "broken")
    done = daystore("plugins", **ONLY)
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0].split() == [
        "name",
        "kind",
        "distribution",
        "version",
        "schemes",
        "capabilities",
        "status",
    ]
    good = next(line for line in lines if line.startswith("good "))
    assert good.split() == [
        "good", "adapter", "daystore-fixture-good", "1.2.0", "good,", "good+tls", "query,", "ttl", "ok",
    ]  # fmt: skip
    assert any(
        line.startswith("broken (daystore-fixture-broken 0.3.0) failed: it cannot be") for line in lines
    )


def test_plugins_that_are_switched_off_are_listed(daystore: Run, install: Install) -> None:
    install("good")
    found = rows(daystore("plugins", "--json", DAYSTORE_DISABLE_PLUGINS="good,sql"))
    assert found["plugin", "good"]["status"] == "disabled"
    assert found["plugin", "good"]["reason"] == "switched off by DAYSTORE_DISABLE_PLUGINS"


def test_strict_mode_still_lists_and_ends_with_1(daystore: Run, install: Install) -> None:
    install("broken")
    done = daystore("plugins", "--json", DAYSTORE_STRICT_PLUGINS="1", **ONLY)
    assert done.returncode == 1
    assert rows(done)["plugin", "broken"]["status"] == "failed"


def test_strict_mode_is_fatal_to_other_commands(daystore: Run, install: Install) -> None:
    install("broken")
    done = daystore(
        "config", "show", DAYSTORE_STRICT_PLUGINS="1", DAYSTORE_BACKENDS__A__URL="memory://", **ONLY
    )
    assert done.returncode == 2
    assert "plugin 'broken' of daystore-fixture-broken 0.3.0" in done.stderr


# --- daystore config show ---------------------------------------------------------------------------------


def test_config_show_as_a_table_has_values_and_origins(daystore: Run, tmp_path: Path) -> None:
    (tmp_path / "work" / "daystore.toml").write_text('[backends.main]\nurl = "memory://"\n[stores.notes]\n')
    done = daystore("config", "show", DAYSTORE_BACKENDS__MAIN__NAMESPACE="agents")
    assert done.returncode == 0
    table = [line.split() for line in done.stdout.splitlines()]
    assert ["backends.main.url", "memory://", "daystore.toml:2"] in table
    assert ["backends.main.namespace", "agents", "DAYSTORE_BACKENDS__MAIN__NAMESPACE"] in table
    assert ["backends.main.timeout", "30.0", "default"] in table
    assert ["stores.notes.ttl", "none", "default"] in table


def test_config_show_masks_secrets_in_both_forms(daystore: Run, install: Install, tmp_path: Path) -> None:
    install("good")
    file = tmp_path / "agent.toml"
    file.write_text(
        '[backends.main]\nurl = "good://user:hunter2@host?token=hunter2"\n'
        'options = { api_token = "hunter2", bucket = "${MY_SECRET}" }\n'
    )
    table, as_json = (
        daystore("config", "show", "--file", str(file), *form, MY_SECRET="hunter2")
        for form in ([], ["--json"])
    )
    for done in (table, as_json):
        assert done.returncode == 0, done.stderr
        assert "hunter2" not in done.stdout + done.stderr
        assert "good://user:***@host?token=***" in done.stdout
    entry = next(item for item in json.loads(as_json.stdout) if item["key"] == "backends.main.options.bucket")
    assert entry == {
        "key": "backends.main.options.bucket",
        "value": "***",
        "origin": {"kind": "file", "where": f"{file}:3", "variables": ["MY_SECRET"]},
    }


# --- daystore doctor --------------------------------------------------------------------------------------


def findings(done: subprocess.CompletedProcess[str]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(finding["check"], finding["name"]): finding for finding in json.loads(done.stdout)}


def test_doctor_opens_each_backend_and_asks_for_its_health(
    daystore: Run, install: Install, tmp_path: Path
) -> None:
    install("good")
    file = tmp_path / "agent.toml"
    file.write_text(
        'default = "main"\n[backends.main]\nurl = "good://h"\n[backends.bad]\nadapter = "ailing"\n'
        '[backends.none]\nurl = "exotic://u:hunter2@h"\n'
    )
    done = daystore("doctor", "--file", str(file), "--json", **ONLY)
    assert done.returncode == 1
    found = findings(done)
    assert found["configuration", str(file)]["ok"]
    assert found["backend", "main"]["detail"] == "version 7, address good://user:***@host"
    assert found["backend", "main"]["milliseconds"] >= 0
    bad = found["backend", "bad"]
    assert (bad["ok"], bad["detail"]) == (
        False,
        "BackendUnavailable: the server does not answer [ailing/open]",
    )
    assert "daystore-fixture-good[exotic]" in found["backend", "none"]["detail"]
    assert not found["driver", "exotic"]["ok"]
    assert found["driver", "good"]["ok"]
    assert found["health check", "weather"]["detail"] == "sky clear"
    assert found["health check", "storm"]["detail"] == "unexpected RuntimeError: lost redis://user:***@host"
    assert "hunter2" not in done.stdout


def test_doctor_says_that_everything_works(daystore: Run) -> None:
    done = daystore("doctor", "--url", "memory://", **ONLY)
    assert done.returncode == 0, done.stdout
    assert done.stdout.endswith("Everything works.\n")


def test_doctor_without_a_configuration_says_so(daystore: Run) -> None:
    done = daystore("doctor", **ONLY)
    assert done.returncode == 0
    assert "No configuration was found, so no backend was opened" in done.stdout


def test_doctor_shows_failures_of_plugins_and_of_the_configuration(daystore: Run, install: Install) -> None:
    install("broken")
    done = daystore("doctor", DAYSTORE_BACKENDS__MAIN__URL="nats://u:hunter2@h", **ONLY)
    assert done.returncode == 1
    assert "plugin broken (daystore-fixture-broken 0.3.0): it cannot be imported" in done.stdout
    assert "no plugin brings the URL scheme 'nats'" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("2 of ")
    assert "hunter2" not in done.stdout + done.stderr


def test_doctor_gives_up_on_a_backend_that_does_not_answer(daystore: Run, install: Install) -> None:
    install("good")
    done = daystore("doctor", "--url", "good://h?daystore_bucket=stuck", "--timeout", "0.2", "--json", **ONLY)
    assert done.returncode == 1
    assert findings(done)["backend", "good://h?daystore_bucket=stuck"]["detail"] == "no answer within 0.2 s"
