"""The tables of a benchmark, read back as CSV, Markdown and LaTeX."""

from __future__ import annotations

import csv
import io
import re

import pytest

from mien.benchmark.tables import (
    TRIVIAL,
    UPPER_BOUND,
    cost_table,
    latex_scores,
    latex_text,
    markdown_scores,
    markdown_text,
    printed_costs,
    printed_table,
    protocols_of,
    score_paths,
    score_table,
    to_csv,
    write_suite_tables,
)
from mien.tasks import PAPER_TASKS

ACCURACY, F1 = "sentiment.accuracy_has0", "emotion.weighted_f1_mean6"
NASTY = r"a|b_c & 50% {x} \y #1 $z ~ ^ <i>*"


def part(protocol, accuracy, *, sd=0.01, emotion=None):
    """One protocol of one setting."""
    bound = protocol == "released"
    mean = {"protocol": protocol, "upper_bound": bound, "sentiment": {"accuracy_has0": accuracy}}
    spread = {"sentiment": {"accuracy_has0": sd}}
    mean["emotion"] = None if emotion is None else {"weighted_f1_mean6": emotion}
    spread["emotion"] = None if emotion is None else {"weighted_f1_mean6": sd}
    intervals = {} if bound else {ACCURACY: [accuracy - 0.1, accuracy + 0.1]}
    return {"runs": [{}, {}], "mean": mean, "sd": spread, "intervals": intervals}


def row(name, accuracy, *, experimental=False, tests=None, emotion=None):
    """One setting; `released` is a tenth better than `clean`."""
    return {
        "name": name,
        "slug": "s",
        "model": "m",
        "inputs": ["text", "visual"],
        "tasks": ["sentiment"],
        "experimental": experimental,
        "seeds": [0, 1],
        "n_parameters": 1346409,
        "train_seconds": {"mean": 1234.56, "sd": 7.89},
        "peak_memory_mib": {"mean": 512.3, "sd": None},
        "protocols": {
            "clean": part("clean", accuracy, emotion=emotion),
            "released": part("released", accuracy + 0.1, emotion=emotion),
        },
        "against_reference": tests or {},
    }


def against(winner):
    """A test of the accuracy."""
    return {
        ACCURACY: {
            "difference": 0.012345678901234567,
            "interval": [0.001, 0.02],
            "p_bootstrap": 0.002,
            "p_t_test": 0.03,
            "p_bootstrap_holm": 0.04,
            "p_t_test_holm": None,
            "winner": winner,
        }
    }


@pytest.fixture
def results():
    """A reference, a better, a worse and an undecided setting, one of them with a nasty name."""
    return {
        "plan": {
            "suite": "own",
            "dataset": {"path": "/d", "name": "set_1", "fingerprint": "0123456789abcdef"},
            "split": "test",
            "reference": "cim",
            "seeds": [0, 1],
            "left_out": {"mfn": "no words", "blanchard": "no voice", "marn": "no words"},
        },
        "settings": [
            row("cim", 0.1 + 0.2, emotion=0.5),
            row(NASTY, 2 / 3, experimental=True, tests=against(NASTY)),
            row("worse", 0.25, tests=against("cim")),
            row("same", 0.26, tests=against(None)),
        ],
        "trivial": {"sentiment": {"accuracy_has0": 0.125}, "emotion": {"weighted_f1_mean6": 0.6}},
        "failures": {"runs/worse/seed-1": "it broke"},
        "notes": ["2 seeds"],
    }


def parse_markdown(text):
    """Cells of every row of a pipe table, unescaped."""
    rows = []
    for line in text.splitlines():
        if line.startswith("|"):
            cells = re.split(r"(?<!\\)\|", line)[1:-1]
            rows.append([re.sub(r"\\(.)", r"\1", cell.strip()) for cell in cells])
    return rows


def test_csv_gives_back_every_value_to_the_bit(results):
    rows = list(csv.DictReader(io.StringIO(to_csv(*score_table(results)))))
    found = {(each["setting"], each["protocol"], each["score"]): each for each in rows}
    assert len(found) == len(rows) == 4 * 2 + 2 + 2
    for setting in results["settings"]:
        for protocol, scored in setting["protocols"].items():
            line = found[setting["name"], protocol, ACCURACY]
            assert float(line["mean"]) == scored["mean"]["sentiment"]["accuracy_has0"]
            assert float(line["sd"]) == 0.01
            assert line["upper_bound"] == (UPPER_BOUND if protocol == "released" else "")
            assert line["experimental"] == str(setting["experimental"])
            assert (line["interval_low"] == "") == (protocol == "released")
            test = setting["against_reference"].get(ACCURACY) if protocol == "clean" else None
            assert line["difference"] == ("" if test is None else repr(test["difference"]))
            assert line["p_bootstrap_holm"] == ("" if test is None else "0.04")
            assert line["p_t_test_holm"] == ""
            assert line["winner"] == ("" if test is None else test["winner"] or "")
    assert [line["reference"] for line in rows if line["setting"] == "cim"] == ["True"] * 4
    assert float(found[TRIVIAL, "clean", ACCURACY]["mean"]) == 0.125
    assert ("worse", "clean", F1) not in found


def test_the_printed_table_marks_reference_experiment_and_verdicts(results):
    table = printed_table(results, "clean")
    assert table.columns == ("acc has0", "emotion F1 at W-Acc's thresholds")
    assert [name for name, _ in table.rows] == ["cim (reference)", f"{NASTY} (experimental)", "worse", "same", TRIVIAL]
    values = [cells[0].value() for _, cells in table.rows]
    assert values == ["30.00 ± 1.00", "66.67 ± 1.00 ↑", "25.00 ± 1.00 ↓", "26.00 ± 1.00", "12.50"]
    assert [cells[0].range() for _, cells in table.rows][:2] == ["[20.0, 40.0]", "[56.7, 76.7]"]
    assert [cells[1].value() for _, cells in table.rows] == ["50.00 ± 1.00", "-", "-", "-", "60.00"]
    assert "Left out: mfn, marn: no words." in table.notes
    assert "runs/worse/seed-1 failed and is not in the table." in table.notes


def test_an_upper_bound_is_called_one_in_every_row_of_every_format(results):
    assert protocols_of(results) == ["clean", "released"]
    table = printed_table(results, "released")
    for text in (markdown_scores(table), latex_scores(table)):
        lines = [line for line in text.splitlines() if "66.67" in line or "76.67" in line]
        assert len(lines) == 1
        assert UPPER_BOUND in lines[0]
        assert "↑" not in text
        assert r"\uparrow" not in text
    assert all(name.startswith(UPPER_BOUND) for name, _ in table.rows if name != TRIVIAL)
    assert UPPER_BOUND in table.title
    assert table.notes[0].startswith(UPPER_BOUND)
    assert UPPER_BOUND not in markdown_scores(printed_table(results, "clean"))


def test_markdown_reads_back_as_the_same_table(results):
    table = printed_table(results, "clean")
    header, rule, *rows = parse_markdown(markdown_scores(table))
    assert header == ["setting", "acc has0", "emotion F1 at W-Acc's thresholds"]
    assert rule == ["---", "---:", "---:"]
    assert [each[0] for each in rows] == [name for name, _ in table.rows]
    assert rows[1] == [f"{NASTY} (experimental)", "66.67 ± 1.00 ↑ [56.7, 76.7]", "-"]
    assert markdown_text("two\nlines") == "two lines"


def test_latex_leaves_no_sign_that_would_be_a_command(results):
    assert latex_text(r"50% & a_b") == r"50\% \& a\_b"
    assert latex_text(r"\x{y}^~#$") == r"\textbackslash{}x\{y\}\textasciicircum{}\textasciitilde{}\#\$"
    text = latex_scores(printed_table(results, "clean"))
    assert text.count(r"\toprule") == text.count(r"\midrule") == text.count(r"\bottomrule") == 1
    body = text[text.index(r"\midrule") : text.index(r"\bottomrule")].splitlines()[1:]
    assert len(body) == 5
    for line in body:
        assert line.endswith(r" \\")
        assert len(re.findall(r"(?<!\\)&", line)) == 2
        assert not re.search(r"(?<!\\)[#%_~^]", line)
        assert len(re.findall(r"(?<!\\)\{", line)) == len(re.findall(r"(?<!\\)\}", line))
        assert len(re.findall(r"(?<!\\)\$", line)) % 2 == 0
    assert r"66.67 $\pm$ 1.00 $\uparrow$ {\scriptsize [56.7, 76.7]}" in body[1]


def test_costs_stand_in_a_table_of_their_own(results):
    header, rows = cost_table(results)
    assert dict(zip(header, rows[0], strict=True)) == {
        "setting": "cim",
        "model": "m",
        "inputs": "text+visual",
        "tasks": "sentiment",
        "n_seeds": 2,
        "n_parameters": 1346409,
        "train_seconds": 1234.56,
        "train_seconds_sd": 7.89,
        "peak_memory_mib": 512.3,
        "peak_memory_mib_sd": None,
    }
    assert printed_costs(results)[1][0] == ("cim (reference)", "1,346,409", "1,234.6 ± 7.9", "512")
    assert not {"n_parameters", "train_seconds", "peak_memory_mib"} & set(score_table(results)[0])


def test_every_file_is_written_and_a_setting_without_a_score_leaves_a_dash(results, tmp_path):
    results["settings"][1]["protocols"]["clean"]["mean"]["sentiment"]["accuracy_has0"] = None
    results["settings"][1]["protocols"]["clean"]["intervals"] = {ACCURACY: [None, None]}
    write_suite_tables(tmp_path, results)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {f"{kind}.{ending}" for kind in ("scores", "costs") for ending in ("csv", "md", "tex")}
    rows = parse_markdown((tmp_path / "scores.md").read_text(encoding="utf-8"))
    assert [f"{NASTY} (experimental)", "- ↑", "-"] not in rows
    assert [f"{NASTY} (experimental)", "-", "-"] in rows
    assert set(score_paths(list(PAPER_TASKS.values()))) >= {ACCURACY, F1}
