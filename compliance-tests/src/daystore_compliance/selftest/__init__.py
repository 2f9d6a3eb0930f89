"""The suite on trial: mutants of backends that it has to find out, and of itself that have to be noticed."""
