"""What `mien analyze` prints about an analysis."""

from dataclasses import replace

from tests.video import examples

from mien.cli.render import show_analysis


def test_the_table_names_speakers_and_why_an_utterance_has_no_prediction(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    analysis = examples.realistic()
    show_analysis(analysis, tmp_path)
    plain = capsys.readouterr().out
    assert "speaker" not in plain.split("Report:")[0]
    assert "no prediction" not in plain
    first, second, *others = analysis.utterances
    first = replace(first, speaker="Ana")
    second = replace(second, answers={}, outputs={}, labels=(), not_judged="French; mosei-text knows English")
    show_analysis(replace(analysis, utterances=(first, second, *others)), tmp_path)
    lines = capsys.readouterr().out.splitlines()
    assert any("speaker" in line and "said" in line for line in lines)
    assert any("Ana" in line and "Hi everyone" in line and "positive 0.81" in line for line in lines)
    assert any("I waited" in line and "no prediction: French; mosei-text knows English" in line for line in lines)
