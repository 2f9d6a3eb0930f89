"""What the core itself brings, through the hooks that every plugin uses."""

from __future__ import annotations

from daystore.hookspecs import AdapterSpec, CommandSpec, SerializerSpec, hookimpl

__all__ = ["daystore_adapters", "daystore_commands", "daystore_serializers"]


@hookimpl
def daystore_adapters() -> list[AdapterSpec]:
    """Return the reference adapter."""
    return [
        AdapterSpec(
            name="memory",
            schemes=("memory",),
            factory="daystore.adapters.memory:MemoryAdapter",
            summary="dictionaries in this process; gone when it ends",
            capabilities=(
                "conditional",
                "atomic_batch",
                "transactions",
                "ttl",
                "query",
                "aggregate",
                "intents",
                "snapshots",
            ),
        )
    ]


@hookimpl
def daystore_serializers() -> list[SerializerSpec]:
    """Return the default serializer."""
    return [
        SerializerSpec(
            name="json",
            content_type="application/json",
            factory="daystore.codec.serializers.json:JSONSerializer",
            summary="JSON, with tags for what JSON cannot say",
        )
    ]


@hookimpl
def daystore_commands() -> list[CommandSpec]:
    """Return the sub-commands of ``daystore``."""
    return [
        CommandSpec(name="config", app="daystore.cli.config:app", summary="Show the configuration."),
        CommandSpec(
            name="demo",
            app="daystore.cli.demo.command:demo",
            summary="See the main job: stored, killed, found again.",
        ),
        CommandSpec(
            name="doctor", app="daystore.cli.doctor:doctor", summary="Check plugins and backends, one by one."
        ),
        CommandSpec(
            name="import",
            app="daystore.cli.importer:import_transcripts",
            summary="Import existing histories of agents.",
        ),
        CommandSpec(
            name="plugins",
            app="daystore.cli.plugins:plugins",
            summary="List what is installed, and what failed.",
        ),
    ]
