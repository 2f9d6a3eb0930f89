"""The suite on trial: mutants of backends that it has to find out, and mutants of itself that have to be noticed."""
