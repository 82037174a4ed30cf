"""One module a page: which blocks it consists of."""
