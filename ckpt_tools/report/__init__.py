"""Records to text.

Pages (`diff_page`, `show_page`) say what to tell, as blocks; renderers (`text`, `markdown`,
`terminal`) say how it looks. No I/O.
"""
