"""What a terminal shows of committed records, at three widths: ``python -m tests.report.golden``.

Run it where the records or the form of tables have changed, and read what it changed.
"""
