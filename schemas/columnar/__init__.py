"""The codec over whole columns: the same bytes and values as the row-wise reference, about a microsecond a row.

Rows travel as Arrow binary arrays, one a column. Work is done by NumPy and Arrow kernels over all rows of a block at
once; what they cannot do exactly goes through the reference (:mod:`schemas.codec`), row by row or block by block.
"""
