"""Figures as lines of a terminal, and as the table of docs/benchmarks.md."""

from pathlib import Path

DOCUMENT = Path(__file__).resolve().parent.parent / "docs/benchmarks.md"
BEGIN, END = "<!-- table: make bench -->", "<!-- end of table -->"

COLUMNS = (("figure", "<46"), ("value", ">9"), ("unit", "<4"), ("against", "<9"), ("value", ">9"),
           ("ratio", ">6"), ("min..max", ">13"), ("must be", ">9"), ("verdict", "<7"))


def number(value):
    if value is None:
        return ""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def row(f):
    spread = f"{number(min(f.rounds))}..{number(max(f.rounds))}" if len(f.rounds) > 1 else ""
    limit = "" if f.limit is None else f"≤ {number(f.limit)}{' ×' if f.yardstick else ''}"
    return (f.name, number(f.value), f.unit, f.yardstick, number(f.yardstick_value),
            "" if f.ratio is None else f"{f.ratio:.2f}", spread, limit, f.verdict)


def line(cells):
    return "  ".join(f"{c:{form}}" for c, (_, form) in zip(cells, COLUMNS)).rstrip()


def header():
    return line([name for name, _ in COLUMNS])


def about(machine, versions):
    loads = " ".join(f"{v:.1f}" for v in machine["load_average"])
    return (f"{machine['cpu']}, {machine['cores']} cores, Linux {machine['kernel']}; {machine['time']}, "
            f"load average {loads}\n" + "; ".join(f"{n} {v}" for n, v in versions.items()))


def cell(f):
    """What the document's columns say of a figure."""
    name, value, unit, yardstick, other, ratio, spread, limit, verdict = row(f)
    name = name if f.name[0] != " " else "– " + name.strip()
    against = f"{yardstick} {other} {unit}" if yardstick else ""
    verdict = {"ok": "met", "MISSED": "**missed**"}.get(verdict, "")
    return (name, f"{value} {unit}", against, ratio, spread, limit.strip(), verdict)


def write_document(head, figures):
    """Puts the figures in place of the table that is there."""
    text = DOCUMENT.read_text()
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    titles = ("figure", "value", "against", "ratio", "rounds", "must be", "")
    rows = [titles, ("---",) * len(titles)] + [cell(f) for f in figures]
    table = "\n".join("| " + " | ".join(r) + " |" for r in rows)
    DOCUMENT.write_text(f"{before}{BEGIN}\n\n{table}\n\n```\n{head}\n```\n\n{END}{after}")
