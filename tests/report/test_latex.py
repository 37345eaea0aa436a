"""LaTeX of a table: a float for a paper, which needs no package but booktabs."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from bench.core.escape import latex
from bench.records.files import find_records
from bench.report.latex import render_latex
from bench.report.selection import TableSelection, select_rows
from bench.report.significance import against_bases
from bench.report.table import make_table, read_suites
from tests.report.golden.pages import BASELINES
from tests.support.records import record_of, task_of, write_in

PAPER = r"""\documentclass[conference]{IEEEtran}
\usepackage{booktabs}
\begin{document}
%s
\end{document}
"""


def of_baseline(suite: str, **asked: object) -> str:
    ((name, stored),) = read_suites(find_records([BASELINES / suite])).items()
    selection = TableSelection(**asked)
    table = select_rows(make_table(name, stored), selection)
    return render_latex(table, selection, against_bases(name, stored))


def test_a_float_with_groups_best_scores_and_significance() -> None:
    text = of_baseline("sts7", top=13, columns=("STS12", "SICK-R", "Avg"))
    assert text.startswith("\\begin{table}[t]\n\\centering\n\\footnotesize\n")
    assert "\n\\label{tab:sts7}\n" in text
    head, *rows = text.partition("\\toprule\n")[2].splitlines()
    assert head == r"Method & STS12 & SICK-R & Avg \\"
    assert rows[1] == r"\multicolumn{4}{@{}l}{\textit{base minilm}} \\"
    best = (
        r"pcc-tuning[base=minilm] & \textbf{75.52}\rlap{$^{+\ddagger}$} & "
        r"\textbf{80.53}\rlap{$^{+\ddagger\circ}$} & \textbf{83.14}\rlap{$^{+}$} \\"
    )
    assert rows[2] == best
    assert rows[3].startswith(r"sup-simcse[base=minilm] & \underline{74.99}\rlap{$^{+}$} & 75.67")
    assert "significantly above and below those of the untrained base" in text


def test_a_base_is_not_compared_with_itself() -> None:
    stored = read_suites(find_records([BASELINES / "mini"]))["mini"]
    table = make_table("mini", stored)
    specs = {row.id: row.spec for row in table.rows}
    assert {specs[row] for row in against_bases("mini", stored)} == {"sct", "simcse"}


def test_what_latex_obeys_is_shown() -> None:
    assert latex(r"50%_$x^2$ {a}~\b #1 & <c>|") == (
        r"50\%\_\$x\textasciicircum{}2\$ \{a\}\textasciitilde{}\textbackslash{}b \#1 \& "
        r"\textless{}c\textgreater{}\textbar{}"
    )
    assert latex("[x]--*") == "{}[x]-{}-{}*"
    assert latex("né中\x1b") == r"néU+4E2D\textbackslash{}x1b"


def compile_in(folder: Path, text: str) -> str:
    """Compile a paper with a table and return the log."""
    (folder / "paper.tex").write_text(PAPER % text, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout
    return done.stdout


def has_template() -> bool:
    if not shutil.which("pdflatex") or not shutil.which("kpsewhich"):
        return False
    for file in ("IEEEtran.cls", "ptmr7t.tfm", "booktabs.sty"):
        if subprocess.run(["kpsewhich", file], capture_output=True).returncode:
            return False
    return True


needs_latex = pytest.mark.skipif(
    not has_template(), reason="needs pdflatex with IEEEtran, booktabs and Times"
)


@needs_latex
@pytest.mark.parametrize("suite", ["mini", "sts7", "redundancy"])
def test_a_conference_paper_holds_the_table(suite: str, tmp_path: Path) -> None:
    log = compile_in(tmp_path, of_baseline(suite))
    assert not re.search("Overfull|undefined|Warning: Citation", log)


@needs_latex
def test_evil_names_compile(tmp_path: Path) -> None:
    evil = "a_b%{}\\x^~#&$|<>[中]\x1b--"
    tasks = {evil: task_of("sts", 0.5, metric=evil), "[B": task_of("sts", 0.4, metric="x")}
    for number in range(2):
        record = record_of("m", tasks, method={"spec": f"[{evil}{number}"}, suite=evil)
        write_in(tmp_path / "records", str(number), record, {})
    ((name, stored),) = read_suites(find_records([tmp_path / "records"])).items()
    log = compile_in(tmp_path, render_latex(make_table(name, stored)))
    assert "Overfull" not in log
