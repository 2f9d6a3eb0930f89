"""Every mistake names its key, where it stands, and the nearest right spelling."""

from collections.abc import Callable
from pathlib import Path

import pytest

Mistakes = Callable[..., list[str]]

BACKEND = '[backends.main]\nurl = "memory://"\n'
STORE = BACKEND + "[stores.x]\n"


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("defualt = 1\n" + BACKEND, "defualt (agent.toml:1): unknown key; did you mean 'default'?"),
        (
            BACKEND + "nmespace = 'x'",
            "backends.main.nmespace (agent.toml:3): unknown key; did you mean 'namespace'?",
        ),
        (BACKEND + "namespace = 3", "backends.main.namespace (agent.toml:3): should be a valid string"),
        (BACKEND + "namespace = ''", "backends.main.namespace (agent.toml:3): a namespace is not empty"),
        (
            BACKEND + "timeout = true",
            "(agent.toml:3): a timeout is a number of seconds or a duration, not bool",
        ),
        (BACKEND + "timeout = 0", "(agent.toml:3): a timeout is a positive number of seconds"),
        (BACKEND + "coalesce = 1", "(agent.toml:3): should be true, false or 'default', not int"),
        (BACKEND + "coalesce = 'yes'", "(agent.toml:3): should be true, false or 'default'"),
        (
            "[backends.main]\nurl = 'memory://?daystore_coalesce=on'",
            "main.url (agent.toml:2): parameter daystore_coalesce: should be true, false or 'default'",
        ),
        (
            "[backends.main]\nurl = 'memory://'\noptions = { coalesce = true }",
            "backends.main.options.coalesce (agent.toml:3): belongs one level up",
        ),
        (BACKEND + "options = 1", "backends.main.options (agent.toml:3): should be a table"),
        (
            BACKEND + "adapter = 'memory'",
            "(agent.toml:3): not beside a url, which is given too (agent.toml:2)",
        ),
        ("[backends.main]\nadapter = 'memry'", "did you mean 'memory'?"),
        (
            "[backends.main]\nurl = 's3://b'",
            "(agent.toml:2): no plugin brings the URL scheme 's3'",
        ),
        ("[backends.main]\nurl = 'hunter2'", "backends.main.url (agent.toml:2): not a URL"),
        ("[backends.main]\nurl = 5", "backends.main.url (agent.toml:2): should be a valid string"),
        (
            "[backends.main]\nnamespace = 'x'",
            "backends.main (agent.toml:1): has to have a url, or an adapter",
        ),
        ("[backends.Main]\nurl = 'memory://'", "backends.Main (agent.toml:1): a name is a lower-case letter"),
        ("backends = 3", "backends (agent.toml:1): should be a table"),
        ("[stores.x]", "backends (agent.toml): no backend is configured; give one, as in backends.main.url"),
        (
            "default = 'man'\n" + BACKEND,
            "default (agent.toml:1): no backend is called 'man'; did you mean 'main'?",
        ),
        (
            BACKEND + "[backends.b]\nurl='memory://'",
            "default (agent.toml): has to name one of the backends: b, main",
        ),
        (
            "[backends.main]\nurl = 'good://h'\noptions = { pool_siez = 1 }",
            "backends.main.options.pool_siez (agent.toml:3): unknown key; did you mean 'pool_size'?",
        ),
        (
            "[backends.main]\nurl = 'good://h'\n[backends.main.options]\npool_size = 'x'",
            "backends.main.options.pool_size (agent.toml:4): should be a valid integer",
        ),
        (
            "[backends.main]\nurl = 'good://h?daystore_pool_siez=1'",
            "main.url (agent.toml:2): parameter daystore_pool_siez: unknown key; did you mean 'pool_size'?",
        ),
        (
            "[backends.main]\nurl = 'memory://'\noptions = { timeout = 1 }",
            "backends.main.options.timeout (agent.toml:3): belongs one level up",
        ),
        (
            BACKEND + "options = { x = 1 }",
            "backends.main.options.x (agent.toml:3): unknown key, there are no options",
        ),
        (
            STORE + "backend = 'mian'",
            "stores.x.backend (agent.toml:4): no backend is called 'mian'; did you mean 'main'?",
        ),
        (
            STORE + "serializer = 'jsno'",
            "stores.x.serializer (agent.toml:4): no serializer is called 'jsno'; did you mean 'json'?",
        ),
        (
            STORE + "middleware = ['stmap']",
            "middleware[0] (agent.toml:4): no plugin brings the middleware 'stmap'; did you mean 'stamp'?",
        ),
        (
            STORE + "middleware = [{name='stamp', levle=1}]",
            "stores.x.middleware[0].levle (agent.toml:4): unknown key; did you mean 'level'?",
        ),
        (
            BACKEND
            + "[[stores.x.middleware]]\nname='plain'\n[[stores.x.middleware]]\nname='stamp'\nlevel='x'",
            "stores.x.middleware[1].level (agent.toml:7): should be a valid integer",
        ),
        (STORE + "middleware = [{level=1}]", "stores.x.middleware[0].name (agent.toml:4): has to be given"),
        (STORE + "middleware = 'plain'", "stores.x.middleware (agent.toml:4): should be a list"),
        (
            STORE + "middleware = [3]",
            "stores.x.middleware[0] (agent.toml:4): should be the name of a middleware",
        ),
        (
            STORE + "consistency = 'evental'",
            "(agent.toml:4): should be 'eventual', 'strong' or { bounded = SECONDS }; did you mean 'eventual'?",
        ),
        (
            STORE + "consistency = { bounded = -1 }",
            "stores.x.consistency (agent.toml:4): bounded should be a number of seconds",
        ),
        (STORE + "ttl = '30'", "stores.x.ttl (agent.toml:4): a duration is '30d'"),
        (STORE + "ttl = -1", "stores.x.ttl (agent.toml:4): a duration has to be longer than zero"),
        (STORE + "ttl = true", "stores.x.ttl (agent.toml:4): should be a duration"),
        (STORE + "collection = 'A B'", "stores.x.collection (agent.toml:4): a collection is named by"),
        (STORE + "tl = '1d'", "stores.x.tl (agent.toml:4): unknown key; did you mean 'ttl'?"),
    ],
)
def test_mistake(mistakes: Mistakes, text: str, mistake: str) -> None:
    (line,) = mistakes(text)
    assert mistake in line


def test_all_mistakes_are_listed_at_once(mistakes: Mistakes) -> None:
    first, *lines = mistakes(
        BACKEND + "nmespace = 1\n[stores.x]\nbackend = 'mian'\nttl = 0\n",
        DAYSTORE_STORES__X__SERIALIZER="jsno",
    )
    assert first == "the configuration has 4 mistakes:"
    assert [line.partition(":")[0].partition(" ")[0] for line in sorted(lines)] == [
        "backends.main.nmespace",
        "stores.x.backend",
        "stores.x.serializer",
        "stores.x.ttl",
    ]
    assert any("(DAYSTORE_STORES__X__SERIALIZER)" in line for line in lines)


@pytest.mark.parametrize(
    ("name", "value", "mistake"),
    [
        (
            "DAYSTORE_STORE__X__TTL",
            "1d",
            "DAYSTORE_STORE__X__TTL: matches no setting; did you mean DAYSTORE_STORES__X__TTL?",
        ),
        (
            "DAYSTORE_ZZZ__X",
            "1",
            "matches no setting; settings begin with DAYSTORE_BACKENDS__ or DAYSTORE_STORES__",
        ),
        ("DAYSTORE_STORES_X_TTL", "1d", "matches no setting; two underscores part the levels"),
        ("DAYSTORE_STORES____TTL", "1d", "matches no setting: a part of its name is empty"),
        (
            "DAYSTORE_STORES__X__TLT",
            "1d",
            "stores.x.tlt (DAYSTORE_STORES__X__TLT): unknown key; did you mean 'ttl'?",
        ),
        ("DAYSTORE_STORES__X__TTL", "soon", "stores.x.ttl (DAYSTORE_STORES__X__TTL): a duration is"),
        ("DAYSTORE_STORES__X__MIDDLEWARE", "[x", "begins like a list or a table, but is not JSON"),
        (
            "DAYSTORE_STORES__X__MIDDLEWARE",
            "plain",
            "stores.x.middleware (DAYSTORE_STORES__X__MIDDLEWARE): should be a list",
        ),
        ("DAYSTORE_STORES__X", "y", "stores.x (DAYSTORE_STORES__X): should be a table"),
        (
            "DAYSTORE_DEFAULT",
            "man",
            "default (DAYSTORE_DEFAULT): no backend is called 'man'; did you mean 'main'?",
        ),
        (
            "DAYSTORE_COORDINATOR",
            "man",
            "coordinator (DAYSTORE_COORDINATOR): no backend is called 'man'; did you mean 'main'?",
        ),
    ],
)
def test_mistake_in_the_environment(mistakes: Mistakes, name: str, value: str, mistake: str) -> None:
    (line,) = mistakes(BACKEND, **{name: value})
    assert mistake in line


def test_variables_that_contradict_each_other(mistakes: Mistakes) -> None:
    (line,) = mistakes(
        BACKEND, DAYSTORE_STORES__X__CONSISTENCY="strong", DAYSTORE_STORES__X__CONSISTENCY__BOUNDED="5"
    )
    assert line.startswith("DAYSTORE_STORES__X__CONSISTENCY__BOUNDED: contradicts another variable")


def test_table_and_key_of_it_in_variables_contradict_each_other(mistakes: Mistakes) -> None:
    (line,) = mistakes(DAYSTORE_BACKENDS__A='{"url": "memory://"}', DAYSTORE_BACKENDS__A__URL="memory://")
    assert line.startswith("DAYSTORE_BACKENDS__A__URL: contradicts another variable")


@pytest.mark.parametrize(
    "text",
    [
        BACKEND + "password = 'hunter2'",
        "[backends.main]\nurl = 'hunter2'",
        "[backends.main]\nurl = 'good://u:hunter2@h'\nadapter='memory'",
        "[backends.main]\nurl = 'nope://u:hunter2@h'",
        "[backends.main]\nurl = 'good://u:hunter2@h?daystore_pool_size=hunter2'",
        "[backends.main]\nurl = ['hunter2']",
        "[backends.main]\nurl = 'good://h'\noptions = { api_token = ['hunter2'] }",
        "[backends.main]\nurl = 'good://h'\noptions = { pool_size = 'hunter2' }",
        BACKEND + "namespace = ['hunter2']",
        STORE + "ttl = 'hunter2'\nmiddleware = 'hunter2'\nconsistency = 'hunter2'",
        BACKEND + "token = 'hunter2",
        "[backends.main]\nurl = 'redis://u:hunter2@h'\nurl = 1",
    ],
)
def test_no_mistake_repeats_a_value(mistakes: Mistakes, text: str) -> None:
    assert "hunter2" not in "".join(mistakes(text))


# --- Files that cannot be parsed --------------------------------------------------------------------------


def test_toml_that_is_none_names_file_and_line(mistakes: Mistakes) -> None:
    (line,) = mistakes("[backends.main]\nurl = \n")
    assert line.startswith("agent.toml is not TOML: ")
    assert "line 2" in line


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("backends:\n  main: {url: [hunter2\n", "agent.yaml:3 is not YAML: "),
        (
            "backends:\n  main: !!python/object:os.system hunter2\n",
            "agent.yaml:2 is not YAML: could not determine",
        ),
        ("- hunter2\n", "agent.yaml has to be a mapping at its top"),
        ("a: 1\n---\nb: hunter2\n", "agent.yaml:2 is not YAML: but found another document"),
        (
            "backends:\n  main: {url: 'memory://'}\n  main: {url: hunter2}\n",
            "agent.yaml:3: the key backends.main stands there twice",
        ),
        ("backends: {1: hunter2}\n", "agent.yaml:1: a key has to be text; put it in quotes"),
        ("a: &a {b: *a}\n", "agent.yaml: its aliases nest without end"),
        (
            "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}' if n else 'x'] * 9)}]\n" for n in range(9)),
            "agent.yaml: its aliases nest without end",
        ),
        (
            "backends: {main: {url: 'memory://', since: 2024-99-99}}\n",
            "agent.yaml is not YAML: a value, such as a date",
        ),
        ("", "backends (agent.yaml): no backend is configured"),
    ],
)
def test_yaml_that_cannot_be_taken(mistakes: Mistakes, text: str, mistake: str) -> None:
    line = mistakes(text, file="agent.yaml")[0]
    assert mistake in line
    assert "hunter2" not in line


def test_yaml_knows_its_lines_and_merges(mistakes: Mistakes) -> None:
    text = """
base: &base
  ttl: 1d
backends: {main: {url: "memory://"}}
stores:
  x:
    <<: *base
    serializer: jsno
"""
    lines = mistakes(text, file="agent.yml")
    assert "stores.x.serializer (agent.yml:8): no serializer is called 'jsno'; did you mean 'json'?" in lines
    assert any(line.startswith("base (agent.yml:2): unknown key") for line in lines)


def test_file_that_is_not_utf8(mistakes: Mistakes) -> None:
    Path("daystore.toml").write_bytes(b'[backends.main]\nurl = "memory://"  # \xff\n')
    assert mistakes() == ["'daystore.toml' cannot be read: it is not UTF-8"]


def test_pyproject_where_daystore_is_no_table(mistakes: Mistakes) -> None:
    assert mistakes("[tool]\ndaystore = 1  # tool.daystore\n", file="pyproject.toml") == [
        "pyproject.toml: tool.daystore has to be a table"
    ]


def test_keys_of_a_mapping_are_text(mistakes: Mistakes) -> None:
    assert mistakes({"backends": {1: {}}}) == ["a configuration's keys are text; one is of type int"]
