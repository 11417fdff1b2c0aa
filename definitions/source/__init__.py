"""From YAML text to values that know where they stand."""
