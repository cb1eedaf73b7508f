"""Makes the results page of the corpus from what evaluate printed, and its two plots.

    report.py DEVELOPMENT.tsv TEST.tsv FOLDER

Thresholds of the baselines are the published ones, and those with the highest F1 on the
development half. Nothing is chosen by the test half.
"""

import csv
import math
import pathlib
import statistics
import subprocess
import sys

Z = 1.96


def read(path):
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    for row in rows:
        for name in row:
            if name not in ("class", "noise", "verdict", "half_verdict"):
                row[name] = float(row[name])
    return rows


def wilson(hits, count):
    """The 95 % interval of a share."""
    if count == 0:
        return 0.0, 1.0
    share = hits / count
    middle = (share + Z * Z / 2 / count) / (1 + Z * Z / count)
    half = Z / (1 + Z * Z / count) * math.sqrt(share * (1 - share) / count
                                               + Z * Z / 4 / count / count)
    return max(middle - half, 0), min(middle + half, 1)


def share(hits, count):
    """A share in words: "2.3 % (1.1–4.7)"."""
    if count == 0:
        return "–"
    low, high = wilson(hits, count)
    return f"{100 * hits / count:.1f} % ({100 * low:.1f}–{100 * high:.1f})"


def counted(rows):
    return [row for row in rows if row["counted"]]


# --- detectors: a name, and what of a row exceeds a threshold -----------------------------------

PRECOG_VARIANTS = [(z, part) for z in (2, 3, 4) for part in (10, 30, 50)]


def at_least(value):
    return lambda row, threshold: row[value] >= threshold


def ranks(test):
    """A significant trend by ranks whose Sen slope is material as well."""
    return lambda row, threshold: row[test] >= threshold[0] and row["sen"] >= threshold[1]


BASELINES = [
    # name, function, published threshold, thresholds to choose from
    ("least squares (`mprof --slope`)", at_least("rise"), 1e-12,
     [.005 * step for step in range(1, 100)]),
    ("Mann-Kendall and Sen", ranks("mann_kendall"), (2.326, .02),
     [(z / 2, sen / 100) for z in range(4, 22) for sen in (2, 4, 6, 8, 10, 15, 20)]),
    ("Hamed-Rao and Sen", ranks("hamed_rao"), (2.326, .02),
     [(z / 2, sen / 100) for z in range(4, 40) for sen in (2, 4, 6, 8, 10, 15, 20)]),
    ("a line to the limit", lambda row, threshold: row["reach"] <= threshold, 1.0,
     [.1 * step for step in range(1, 200)]),
    ("Precog (R² > .8)", at_least("precog"), .8, None),
]


def f1_of(rows, called):
    hits = sum(1 for row in rows if row["leaks"] and called(row))
    false = sum(1 for row in rows if not row["leaks"] and called(row))
    missed = sum(1 for row in rows if row["leaks"]) - hits
    return 2 * hits / (2 * hits + false + missed) if hits else 0.0


def tune(rows, function, thresholds):
    return max(thresholds, key=lambda threshold: f1_of(rows, lambda row: function(row, threshold)))


def words(threshold):
    if isinstance(threshold, tuple):
        return f"Z ≥ {threshold[0]:.3g}, rise ≥ {100 * threshold[1]:.0f} %"
    return f"{threshold:.3g}"


def detectors(development):
    """Every detector that is compared: name, setting, function of a row."""
    rows = counted(development)
    found = [("**memwatch leak**", "", lambda row: row["verdict"] == "leak")]
    for name, function, published, choices in BASELINES:
        found.append((name, "published" if published != 1e-12 else "> 0",
                      lambda row, f=function, t=published: f(row, t)))
        if choices:
            best = tune(rows, function, choices)
            found.append((name, f"tuned: {words(best)}", lambda row, f=function, t=best: f(row, t)))
    variants = [(variant, threshold / 100) for variant in range(len(PRECOG_VARIANTS))
                for threshold in range(50, 100, 2)]

    def precog(row, choice):
        return row[f"precog_{choice[0]}"] > choice[1]
    best = tune(rows, precog, variants)
    z, part = PRECOG_VARIANTS[best[0]]
    found.append(("Precog, windows scaled", f"tuned: change at {z} sigma, window ≥ {part} %, "
                  f"R² > {best[1]:.2f}", lambda row, t=best: precog(row, t)))
    return found


# --- tables --------------------------------------------------------------------------------------


def table(head, lines, numbers=True):
    rule = ["---"] + ["---:" if numbers else "---"] * (len(head) - 1)
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in [head, rule, *lines]) + "\n"


def by_class(rows):
    classes = {}
    for row in rows:
        classes.setdefault(row["class"], []).append(row)
    return classes


def summary(rows, found):
    rows = counted(rows)
    clean = [row for row in rows if not row["leaks"]]
    leaking = [row for row in rows if row["leaks"]]
    high = [row for row in leaking if row["sigma"] >= 12]
    lines = []
    for name, setting, called in found:
        worst = max((sum(map(called, group)) / len(group), label)
                    for label, group in by_class(clean).items())
        lines.append((name, setting, share(sum(map(called, clean)), len(clean)),
                      f"{100 * worst[0]:.1f} %: {worst[1]}",
                      share(sum(map(called, high)), len(high)),
                      share(sum(map(called, leaking)), len(leaking)),
                      f"{f1_of(rows, called):.3f}"))
    return table(("detector", "setting", "false alarms", "worst class", "recall, rise ≥ 12 σ",
                  "recall, all", "F1"), lines)


VERDICTS = ("leak", "suspect", "filling", "step", "stable", "insufficient")
NOISES = ("white", "AR(.5)", "AR(.9)", "walk")


def verdict_table(rows):
    lines = []
    for label, group in by_class(rows).items():
        leaks = sum(row["verdict"] == "leak" for row in group)
        known = sum(row["verdict"] != "insufficient" for row in group)
        noises = []
        for noise in NOISES:
            part = [row for row in group if row["noise"] == noise]
            noises.append(f"{100 * sum(row['verdict'] == 'leak' for row in part) / len(part):.0f}"
                          if part else "–")
        counts = [sum(row["verdict"] == verdict for row in group) for verdict in VERDICTS[1:]]
        lines.append((label, len(group), f"{share(leaks, len(group))}",
                      f"{100 * leaks / known:.1f} %" if known else "–", *counts, *noises))
    return table(("class", "traces", "called a leak", "of the sufficient", *VERDICTS[1:],
                  *(f"{noise}, %" for noise in NOISES)), lines)


def comparison_table(rows, found):
    lines = []
    for label, group in by_class(counted(rows)).items():
        lines.append((label, *(f"{100 * sum(map(called, group)) / len(group):.0f}"
                               for _, _, called in found)))
    heads = [f"{name} {'(tuned)' if setting.startswith('tuned') else ''}".strip()
             for name, setting, _ in found]
    return table(("called a leak, %", *heads), lines)


def median(values):
    values = list(values)
    return statistics.median(values) if values else math.nan


def slopes(rows):
    return [row for row in rows if row["straight"] and row["verdict"] == "leak"]


def slope_table(rows):
    lines = []
    groups = {**by_class(slopes(counted(rows))), "all": slopes(counted(rows))}
    for label, group in groups.items():
        inside = sum(row["low"] <= row["true_slope"] <= row["high"] for row in group)
        lines.append((label, len(group),
                      f"{100 * median(abs(r['slope'] / r['true_slope'] - 1) for r in group):.1f} %",
                      share(inside, len(group)),
                      f"{100 * median((r['high'] - r['low']) / r['true_slope'] for r in group):.0f} %"))
    return table(("class", "leaks", "error of the slope, median", "interval holds the truth",
                  "its width, median"), lines)


def halves(rows):
    return [row for row in counted(rows) if row["straight"] and row["half_s"] > 0
            and row["half_verdict"] in ("leak", "suspect")]


def near(row):
    return abs(row["arrival"] / row["half_s"] - 1) <= .2


def arrival_table(rows):
    lines = []
    groups = {**by_class(halves(rows)), "all": halves(rows)}
    for label, group in groups.items():
        inside = sum(row["arrival_low"] <= row["half_s"] <= row["arrival_high"] for row in group)
        lines.append((label, len(group), share(sum(map(near, group)), len(group)),
                      share(inside, len(group))))
    return table(("class", "called leak or suspect", "within 20 %", "inside the interval"), lines)


def ablation_table(rows):
    few = [row for row in counted(rows) if row["number"] < FEW]
    clean = [row for row in few if not row["leaks"]]
    leaking = [row for row in few if row["leaks"]]
    lines = [("nothing", share(sum(r["verdict"] == "leak" for r in clean), len(clean)),
              share(sum(r["verdict"] == "leak" for r in leaking), len(leaking)),
              f"{f1_of(few, lambda r: r['verdict'] == 'leak'):.3f}")]
    for column in rows[0]:
        if column.startswith("without "):
            lines.append((column[len("without "):], share(sum(r[column] for r in clean) // 1, len(clean)),
                          share(sum(r[column] for r in leaking) // 1, len(leaking)),
                          f"{f1_of(few, lambda r, c=column: r[c]):.3f}"))
    return table(("left out", "false alarms", "recall", "F1"), lines)


def confidence_table(rows):
    def called(group, certain):
        return [r for r in group if r["verdict"] == "leak" and bool(r["certain"]) == certain]
    lines = []
    slow = [row for row in rows if row["class"] == "cache far larger than seen"]
    for name, certain in (("high", True), ("low", False)):
        told = called(counted(rows), certain)
        lines.append((name, len(told), share(sum(r["leaks"] for r in told) // 1, len(told)),
                      share(len(called(slow, certain)), len(slow))))
    return table(("confidence", "called a leak", "of these leak", "caches far larger than seen"),
                 lines)


FEW = 60


def ever_table(rows):
    lines = []
    few = [row for row in counted(rows) if row["number"] < FEW and not row["leaks"]]
    for label, group in {**by_class(few), "all": few}.items():
        lines.append((label, len(group), share(sum(r["ever"] for r in group) // 1, len(group)),
                      share(sum(r["verdict"] == "leak" for r in group), len(group))))
    return table(("class", "traces", "called a leak at any time", "at the end"), lines)


# --- figures wanted and reached ------------------------------------------------------------------


def figures(rows, found):
    """What was to be reached, what is, and whether."""
    leak = found[0][2]
    rows = counted(rows)
    clean = [row for row in rows if not row["leaks"]]
    leaking = [row for row in rows if row["leaks"]]
    high = [row for row in leaking if row["sigma"] >= 12]
    ten = [row for row in leaking if row["class"] == "linear, 10 sigma"]
    false = sum(map(leak, clean)) / len(clean)
    worst_false = max((sum(map(leak, g)) / len(g), c) for c, g in by_class(clean).items())
    recalls = sorted((sum(map(leak, g)) / len(g), c) for c, g in by_class(leaking).items())
    below = [f"{c} {100 * r:.0f} %" for r, c in recalls if r < .9]
    recall = sum(map(leak, high)) / len(high)
    recall_ten = sum(map(leak, ten)) / len(ten)
    f1 = f1_of(rows, leak)
    best = max((f1_of(rows, called), name) for name, _, called in found[1:])
    error = median(abs(r["slope"] / r["true_slope"] - 1) for r in slopes(rows))
    held = sum(r["low"] <= r["true_slope"] <= r["high"] for r in slopes(rows)) / len(slopes(rows))
    arrivals = sum(map(near, halves(rows))) / len(halves(rows))

    def line(what, wanted, reached, good):
        return what, wanted, reached, "yes" if good else "**no**"
    return table(("figure", "wanted", "reached", "reached?"), [
        line("false alarms", "≤ 0.5 %", f"{100 * false:.2f} %", false <= .005),
        line("false alarms, worst class", "≤ 2 %",
             f"{100 * worst_false[0]:.1f} % ({worst_false[1]})", worst_false[0] <= .02),
        line("recall, rise ≥ 12 σ", "≥ 97 %", f"{100 * recall:.1f} %", recall >= .97),
        line("recall, linear, 10 σ", "≥ 95 %", f"{100 * recall_ten:.1f} %", recall_ten >= .95),
        line("recall in every class", "≥ 90 %", "; ".join(below) or f"{100 * recalls[0][0]:.0f} % "
             f"({recalls[0][1]})", not below),
        line("F1", "≥ .98", f"{f1:.3f}", f1 >= .98),
        line("F1 above every baseline", f"> {best[0]:.3f} ({best[1]})", f"{f1:.3f}", f1 > best[0]),
        line("error of the slope, median", "≤ 10 %", f"{100 * error:.1f} %", error <= .1),
        line("interval of the slope holds the truth", "≥ 90 %", f"{100 * held:.1f} %", held >= .9),
        line("time to the limit within 20 %, at half life", "≥ 80 %", f"{100 * arrivals:.1f} %",
             arrivals >= .8),
    ], numbers=False)


# --- plots ---------------------------------------------------------------------------------------


def gnuplot(script):
    subprocess.run(["gnuplot"], input=script.encode(), check=True)


def plot_classes(path, rows, found):
    """A bar a class: memwatch, and beside it the best baseline."""
    rows = counted(rows)
    best = max(found[1:], key=lambda detector: f1_of(rows, detector[2]))
    data = "\n".join(
        f'"{label}" {100 * sum(map(found[0][2], group)) / len(group):.1f} '
        f"{100 * sum(map(best[2], group)) / len(group):.1f}"
        for label, group in by_class(rows).items())
    clean = sum(1 for group in by_class(rows).values() if not group[0]["leaks"])
    gnuplot(f"""set terminal pngcairo size 1100,560 font 'Sans,10' noenhanced
set output '{path}'
$data << END
{data}
END
set title 'How often each class is called a leak, test half' font ',13'
set ylabel 'called a leak, %'
set yrange [0:109]
set xrange [-.6:{len(by_class(rows)) - .4}]
set grid ytics linecolor rgb '#e5e5e5'
set border 3
set xtics nomirror rotate by 35 right
set ytics nomirror
set boxwidth .8 relative
set style data histograms
set style histogram clustered gap 1
set style fill solid noborder
set arrow from {clean - .5},0 to {clean - .5},105 nohead dashtype 2 linecolor rgb '#666666'
set label 'does not leak: lower is better' at {clean / 2 - .5},107 center textcolor rgb '#444444'
set label 'leaks: higher is better' at {clean + (len(by_class(rows)) - clean) / 2 - .5},107 center \\
    textcolor rgb '#444444'
set key outside center top horizontal
plot $data using 2:xtic(1) title 'memwatch leak' linecolor rgb '#0072b2', \\
     $data using 3 title '{best[0].replace("`", "")}, tuned' linecolor rgb '#e69f00'
""")


def plot_rise(path, rows):
    """Recall of straight leaks against their rise, a curve a kind of noise."""
    classes = ("linear, 5 sigma", "linear, 8 sigma", "linear, 10 sigma", "linear, 20 sigma",
               "linear, 50 sigma")
    lines = []
    for label in classes:
        group = by_class(rows)[label]
        parts = [[row for row in group if row["noise"] == noise] for noise in NOISES]
        lines.append(f"{group[0]['sigma']} " + " ".join(
            f"{100 * sum(r['verdict'] == 'leak' for r in part) / len(part):.1f}" for part in parts))
    data = "\n".join(lines)
    colours = ("#0072b2", "#009e73", "#e69f00", "#d55e00")
    names = ("white noise", "AR(.5)", "AR(.9)", "random walk")
    curves = ", ".join(f"$data using 1:{i + 2} with linespoints pointtype 7 linewidth 2 "
                       f"linecolor rgb '{colours[i]}' title '{names[i]}'" for i in range(4))
    gnuplot(f"""set terminal pngcairo size 800,420 font 'Sans,10' noenhanced
set output '{path}'
$data << END
{data}
END
set title 'Straight leaks that are found, by rise and kind of noise, test half' font ',13'
set xlabel 'rise over the trace, in standard deviations of the noise'
set ylabel 'called a leak, %'
set logscale x
set xtics (5, 8, 10, 20, 50) nomirror
set ytics nomirror
set yrange [0:105]
set xrange [4.5:56]
set border 3
set grid ytics linecolor rgb '#e5e5e5'
set key bottom right
plot {curves}
""")


# --- the page ------------------------------------------------------------------------------------


def page(development, test):
    found = detectors(development)
    folder = pathlib.Path(__file__).parent
    text = (folder / "results.md.in").read_text()
    judging = sorted(row["judging_us"] for row in test)
    per_class = len(by_class(test)["flat"])
    parts = {
        "PER_CLASS": per_class,
        "FEW": FEW,
        "FIGURES": figures(test, found),
        "SUMMARY_TEST": summary(test, found),
        "SUMMARY_DEVELOPMENT": summary(development, found),
        "CLASSES_TEST": verdict_table(counted(test)),
        "CLASSES_DEVELOPMENT": verdict_table(counted(development)),
        "COMPARISON_TEST": comparison_table(test, found),
        "COMPARISON_DEVELOPMENT": comparison_table(development, found),
        "SLOPES": slope_table(test),
        "ARRIVALS": arrival_table(test),
        "ABLATION": ablation_table(test),
        "CONFIDENCE": confidence_table(test),
        "EVER": ever_table(test),
        "HARDER": verdict_table([row for row in test if not row["counted"]]),
        "REAL": (folder / "real" / "verdicts.md").read_text(),
        "JUDGING_MS": f"{judging[len(judging) // 2] / 1000:.1f}",
    }
    for name, part in parts.items():
        text = text.replace(f"@{name}@", str(part).rstrip("\n"))
    return text, found


def main():
    development, test = read(sys.argv[1]), read(sys.argv[2])
    folder = pathlib.Path(sys.argv[3])
    text, found = page(development, test)
    (folder / "RESULTS.md").write_text(text)
    plot_classes(folder / "classes.png", test, found)
    plot_rise(folder / "rise.png", test)


if __name__ == "__main__":
    main()
