"""What reading a configuration costs at import: nothing before it is read."""

import subprocess
import sys


def test_neither_plugins_nor_configuration_import_pydantic() -> None:
    look = """
import sys
before = {*sys.modules}
import daystore.config, daystore.plugins
assert not {"pydantic", "tomllib", "yaml", "cyclopts", "rich"} & ({*sys.modules} - before)
"""
    subprocess.run([sys.executable, "-c", look], check=True, timeout=60)


def test_yaml_without_its_extra_says_what_to_install() -> None:
    look = """
import sys
sys.modules["yaml"] = None
from daystore.config.yaml import parse_yaml
from daystore.errors import ConfigError
try:
    parse_yaml("", "agent.yaml")
except ConfigError as error:
    assert 'agent.yaml is YAML, which needs PyYAML: pip install "daystore[yaml]"' in str(error)
else:
    raise AssertionError
"""
    subprocess.run([sys.executable, "-c", look], check=True, timeout=60)
