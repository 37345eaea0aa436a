"""Jobs: a run shared among processes and machines, each job all cells of one model.

What a job is (``job``), which there are and in which order (``graph``, ``durations``,
``estimate``), parts of a run (``shards``), and how one is done in another process (``workplace``,
``worker``, ``archives``). Executors keep the contract of ``executor`` and are driven by
``schedule``: ``processes`` of this machine and more. Imported are execution, models, method,
suite, records and core. A new executor is a file here, or anybody's entry point.
"""
