"""The page of `python -m pipeline ui`: what a lineage store holds, read only, as HTML from the server.

A request names what it wants by number; the numbers lead to rows, and the rows to the folders below the
root. Nothing in a request is ever part of a path. Every page is bounded, however large the store is:
lists are walked by number, files are shown in part, and walks over the lineage end after so many steps.
"""
