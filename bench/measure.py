"""What is measured and how: CPU time and memory of programs, figures with their targets.

CPU time is what the scheduler counted, in nanoseconds (/proc/PID/task/*/schedstat), of all threads of
all processes of a program.  Memory is read from /proc/PID/status and /proc/PID/smaps_rollup.
"""

import os
import platform
import re
import statistics
import subprocess
from dataclasses import asdict, dataclass, field
from pathlib import Path


def processes(pid):
    """pid and all processes below it."""
    found, todo = [], [pid]
    while todo:
        p = todo.pop()
        found.append(p)
        for task in Path(f"/proc/{p}/task").glob("*/children"):
            todo += [int(c) for c in task.read_text().split()]
    return found


def cpu_us(pid):
    """CPU time, in microseconds, of all processes and threads of a program."""
    total = 0
    for p in processes(pid):
        for task in Path(f"/proc/{p}/task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1e3


def memory_kib(pid, file, *names):
    """The sum of these lines of /proc/PID/file."""
    text = Path(f"/proc/{pid}/{file}").read_text()
    return sum(int(re.search(rf"^{name}:\s+(\d+)", text, re.M).group(1)) for name in names)


def forget_peak(pid):
    """VmHWM begins anew."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


@dataclass
class Figure:
    """One measured value.  What is judged is the ratio where there is a yardstick's value, else the
    value; `rounds` are the judged numbers of the single rounds, for the noise."""

    name: str
    value: float
    unit: str
    limit: float | None = None  # None: for information
    yardstick: str = ""
    yardstick_value: float | None = None
    rounds: list = field(default_factory=list)
    note: str = ""

    @property
    def ratio(self):
        if not self.yardstick:
            return None
        if self.rounds:
            return statistics.median(self.rounds)
        return self.value / self.yardstick_value

    @property
    def verdict(self):
        if self.limit is None:
            return ""
        judged = self.value if self.ratio is None else self.ratio
        return "ok" if judged <= self.limit else "MISSED"

    def as_json(self):
        more = {"ratio": self.ratio, "verdict": self.verdict, "noise": noise(self.rounds)}
        return asdict(self) | more


def noise(rounds):
    if len(rounds) < 2:
        return None
    middle = statistics.median(rounds)
    return {"min": min(rounds), "max": max(rounds),
            "mad": statistics.median(abs(r - middle) for r in rounds)}


def against(name, unit, limit, rounds, own, yardstick, note=""):
    """A figure from interleaved rounds: {program: [value of each round]}."""
    ratios = [o / y for o, y in zip(rounds[own], rounds[yardstick])]
    return Figure(name, statistics.median(rounds[own]), unit, limit, yardstick,
                  statistics.median(rounds[yardstick]), ratios, note)


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def said(*command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return next(iter((done.stdout + done.stderr).strip().splitlines()), "").strip()


def machine():
    cpu = re.search(r"^model name\s*: (.*)", Path("/proc/cpuinfo").read_text(), re.M)
    return {"cpu": cpu.group(1) if cpu else platform.machine(), "cores": os.cpu_count(),
            "kernel": platform.release(), "load_average": os.getloadavg(),
            "time": said("date", "-u", "+%Y-%m-%dT%H:%M:%SZ")}


def version(*command):
    found = re.search(r"\d+(\.\d+)+[^ ,;)]*", said(*command))
    return found.group(0) if found else "?"


def versions(binary):
    libraries = ("libuv", "libnghttp2", "openssl", "yyjson", "libllhttp", "yaml-0.1", "zlib",
                 "libbrotlidec", "libzstd")
    programs = {"cc-proxy": f"{version(str(binary), 'version')} ({said('git', 'describe', '--always')})",
                "gcc": version("gcc", "--version"), "nginx": version("nginx", "-v"),
                "haproxy": version("haproxy", "-v"), "nghttpx": version("nghttpx", "--version"),
                "h2load": version("h2load", "--version"), "wrk": version("wrk", "-v")}
    return programs | {name: version("pkg-config", "--modversion", name) for name in libraries}
