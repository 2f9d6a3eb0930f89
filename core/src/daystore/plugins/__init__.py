"""Discovery of plugins: entry points of the group ``daystore``, each loaded by itself, failures as data."""

from daystore.plugins.records import DisabledPlugin, PluginFailure, Source
from daystore.plugins.registry import Plugins, default_plugins

__all__ = ["DisabledPlugin", "PluginFailure", "Plugins", "Source", "default_plugins"]
