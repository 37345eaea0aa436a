"""The command line: words to a verb, and every error to one line and an exit code.

A verb a file, found by ``main``; endings and errors (``ending``), what they print to (``streams``,
``terminal``, ``progress``) and files they write (``writing``). Imported are integrations, testing,
api, report, jobs, execution, tasks, verdicts, models, method, suite, records, data and core, most
of them by the verb that needs them, as the others start without waiting. A new verb is a file here
and a name in ``main``; what it works out belongs below, where Python can reach it too.
"""
