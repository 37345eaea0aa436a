"""Outward only: methods as models of other libraries, records as files that these read.

Methods as models of mteb (``mteb``) and of SentEval (``senteval``), records as result files of mteb
(``mteb_results``) and of the hub (``eval_results``), suites as evaluators of sentence-transformers'
trainer (``sentence_transformers``), trained models with a card (``model_card``, ``hub``). Imported
are api, execution, report, tasks, method, suite, encoding, data, records and core. Tasks of mteb
that we run are in ``bench.tasks.mteb``. A new library that is to use our methods is a file here,
and only the command line imports it.
"""
