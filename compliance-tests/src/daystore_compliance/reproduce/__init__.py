"""From a failed case to the shortest operations that show the fault, and a script that shows it again."""
