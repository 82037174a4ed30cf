"""One module a document: the JSON output of each command."""
