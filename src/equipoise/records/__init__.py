"""What was published about a trial: the schema, the shipped records, the checks."""
