"""Where bytes live: local folders and the package's own data. The only room that opens files for reading."""
