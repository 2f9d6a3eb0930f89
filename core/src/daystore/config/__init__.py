"""Configuration: backends and stores by name, from files, mappings and the environment.

pydantic is imported when a configuration is read, not before.
"""

from daystore.config.durations import parse_duration, parse_timeout
from daystore.config.layers import Origin
from daystore.config.loader import Config, is_configured, load
from daystore.config.secrets import is_secret_name, mask_text, mask_url
from daystore.config.settings import Setting
from daystore.config.urls import split_url

__all__ = [
    "Config",
    "Origin",
    "Setting",
    "is_configured",
    "is_secret_name",
    "load",
    "mask_text",
    "mask_url",
    "parse_duration",
    "parse_timeout",
    "split_url",
]
