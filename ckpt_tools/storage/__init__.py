"""Where bytes lie and how they are read, written and published: this machine's disk, a repository on the Hub."""
