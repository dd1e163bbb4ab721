#!/usr/bin/env python3
"""Measures cc-proxy next to nginx, HAProxy and nghttpx, and judges what it finds.

    bench/bench.py [GROUP...] [--rounds N] [--seconds S] [--quick] [--json FILE] [--write]

Programs take turns in every round, so that what else the machine does hits all alike; what is
judged is the median of the rounds' ratios.  docs/benchmarks.md says how each figure is measured.
CC_PROXY names another binary than build/release/cc-proxy.  Needs nginx, HAProxy, nghttp2's proxy
and client, and wrk.
"""

import argparse
import json
import resource
import shutil
import sys
import tempfile
from pathlib import Path

import figures_latency
import figures_memory
import figures_request
import figures_stream
import measure
import report
import yardsticks

GROUPS = {
    "request": figures_request.request,
    "convert": figures_request.convert,
    "sse": figures_stream.sse,
    "sse_convert": figures_stream.sse_convert,
    "h2": figures_request.h2,
    "latency": figures_latency.latency,
    "first_event": figures_latency.first_event,
    "body": figures_request.body,
    "memory": figures_memory.memory,
    "cancel": figures_latency.cancel,
    "start": figures_latency.start,
}
PROGRAMS = {"nginx": "nginx", "haproxy": "haproxy", "nghttpx": "nghttp2-proxy",
            "h2load": "nghttp2-client", "wrk": "wrk"}


def options():
    args = argparse.ArgumentParser(description=__doc__,
                                   formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("groups", nargs="*", metavar="GROUP", help=", ".join(GROUPS))
    args.add_argument("--rounds", type=int, default=7, help="of each figure (default 7)")
    args.add_argument("--seconds", type=int, default=2, help="of load per program and round")
    args.add_argument("--quick", action="store_true", help="3 rounds of 1 s: a look, not a result")
    args.add_argument("--json", type=Path, default=yardsticks.ROOT / "build/bench.json")
    args.add_argument("--write", action="store_true", help="the table into docs/benchmarks.md")
    a = args.parse_args()
    if a.write and (a.groups or a.quick):
        args.error("--write takes a whole run")
    unknown = set(a.groups) - set(GROUPS)
    if unknown:
        args.error(f"no such group: {', '.join(sorted(unknown))}; there are: {', '.join(GROUPS)}")
    missing = [package for program, package in PROGRAMS.items() if not shutil.which(program)]
    if missing:
        sys.exit(f"bench: these packages are missing: {' '.join(missing)}")
    if not yardsticks.TRAFFIC.exists():
        sys.exit("bench: build cc-proxy and bench_traffic first, as make bench does")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if a.quick:
        a.rounds, a.seconds = 3, 1
    return a


def run(group, options):
    """Yields the group's figures, printed."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        bench = yardsticks.Bench(folder, options)
        try:
            for figure in GROUPS[group](bench):
                print(report.line(report.row(figure)), flush=True)
                yield figure
        finally:
            bench.stop()


def main():
    a = options()
    about = {"machine": measure.machine(), "versions": measure.versions(yardsticks.BINARY),
             "rounds": a.rounds, "seconds": a.seconds}
    head = report.about(about["machine"], about["versions"])
    print(f"{head}\n\n{report.header()}", flush=True)
    found = {}
    for name in a.groups or GROUPS:
        found[name] = list(run(name, a))
        a.json.parent.mkdir(parents=True, exist_ok=True)
        rows = [f.as_json() | {"group": g} for g, figures in found.items() for f in figures]
        a.json.write_text(json.dumps(about | {"figures": rows}, indent=1, ensure_ascii=False))
    figures = [f for group in found.values() for f in group]
    if a.write:
        report.write_document(head, figures)
    judged = [f for f in figures if f.verdict]
    missed = sum(f.verdict == "MISSED" for f in judged)
    print(f"\n{missed} of {len(judged)} targets missed; {a.json}")


if __name__ == "__main__":
    main()
