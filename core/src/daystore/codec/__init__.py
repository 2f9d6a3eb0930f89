"""How a value becomes the bytes of a record, and how a record becomes its value again."""
