"""Times in questions: words such as "last winter" or "上周" become spans on the calendar.

It may import `domain.query`, where a `Span` is defined, and nothing else of neuromem.
Begin with `parser.read_time_spans`; to change how a form is read, look into `english` or `chinese`.
"""
