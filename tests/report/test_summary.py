"""The lines that a terminal shows."""

from __future__ import annotations

from dataclasses import replace

from latentflow.report import summary_lines


def test_headline_figures_in_plain_lines(result):
    lines = summary_lines(result)
    assert lines[0] == result.verdict.headline
    assert len(lines) <= 10
    text = "\n".join(lines)
    for figure in (
        "latents 8.33 nats [8.14, 8.52]",
        "FastICA 1.38 nats [1.33, 1.43]",
        "6.95 nats [6.86, 7.04]",
        "held-out -log p      5.81 nats [5.78, 5.84], Gaussian 7.20 nats",
        "2.2e-11",
        "axes                 jacobian (asked for auto), 1 undetermined plane, agreement with FastICA 0.71",
        "1 200 held-out rows of 36 733",
    ):
        assert figure in text
    assert result.alerts[0] in lines[-1]


def test_any_terminal_can_print_them(result):
    assert all(line.isascii() for line in summary_lines(result)[1:])
    odd = replace(result, alerts=("Column a\nb\x1b[31m is odd.",))
    assert all("\n" not in line and "\x1b" not in line for line in summary_lines(odd))


def test_no_alerts_no_line_and_other_rows_are_not_held_out(result):
    lines = summary_lines(replace(result, alerts=(), rows=replace(result.rows, which="all")))
    assert not any(line.startswith("alerts") for line in lines)
    assert "held" not in "\n".join(lines)
