"""One module a renderer: text, terminal, Markdown, HTML, SARIF, JUnit, GitHub annotations."""
