"""What the suite tells daystore: its commands. Nothing is imported before one is called."""

from __future__ import annotations

from daystore import CommandSpec, hookimpl

__all__ = ["DAYSTORE_PLUGIN_API", "daystore_commands"]

DAYSTORE_PLUGIN_API = 1


@hookimpl
def daystore_commands() -> list[CommandSpec]:
    """Return the commands."""
    home = "daystore_compliance.commands"
    return [
        CommandSpec(
            name="certify",
            app=f"{home}.certify:certify",
            summary="Hold a backend to the contract, and write its certificate.",
        ),
        CommandSpec(name="cases", app=f"{home}.cases:cases", summary="List every promise that is tried."),
        CommandSpec(
            name="explain",
            app=f"{home}.explain:explain",
            summary="Tell what a case promises, and how it is tried.",
        ),
        CommandSpec(name="diff", app=f"{home}.diff:diff", summary="Compare two certificates."),
        CommandSpec(
            name="simulate",
            app=f"{home}.simulate:simulate",
            summary="Run the coordinated commit in simulated worlds, and judge what happened.",
        ),
        CommandSpec(
            name="money",
            app=f"{home}.money:money",
            summary="Move money across backends while everything is killed, and count it.",
        ),
        CommandSpec(
            name="services",
            app=f"{home}.services:app",
            summary="Start real servers to try backends against, and end them.",
        ),
        CommandSpec(
            name="selftest", app=f"{home}.selftest:selftest", summary="Put the suite itself on trial."
        ),
    ]
