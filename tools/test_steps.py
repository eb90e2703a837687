#!/usr/bin/env python3
"""Runs the tests of Bavn step by step. Use ./test, which installs what is missing first.

usage: ./test [--fast | --long] [--only STEP[,STEP...]] [--list]

  (nothing)   what continuous integration runs
  --fast      the lane for working: checks, build A, unit (with golden files and test events of rules), end to end
  --long      the full counts (kills, seeds, minutes of fuzzing); run by hand, results logged in docs/
  --only      just these steps, in their order; --list names them

Each step prints its minutes and how many its commands kept a core busy; what it says goes to build/logs/STEP.log, whose
end is shown when it fails. The second build goes on behind the tests of the first, at the lowest priority: they wait
for clocks, networks and browsers much of their time.
The last line is "N passed, N failed"; the exit code is 0 when nothing failed. Tests that need the corpora
(BAVN_CORPORA, or ../shared/corpora) are skipped and counted as skipped where they are not there.
"""
import dataclasses
import os
import pathlib
import re
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
LOGS = ROOT / "build" / "logs"
BINARY = ROOT / "build" / "dev" / "src" / "app" / "bavn"
ALL, NOT_FAST = {"fast", "ci", "long"}, {"ci", "long"}
# Seconds of each fuzzer, kill cycles of the crash tests.
FUZZ_SECONDS = {"ci": 3, "long": 600}
KILLS = {"fast": 3, "ci": 20, "long": 100}
# What reads foreign bytes or keeps them: built and run under the address and undefined behaviour sanitizers.
SANITIZED = ("base", "event", "jail", "formats", "match", "history", "net", "store", "tenants", "input", "hunt", "alerts", "beacon", "act",
             "notify", "notice", "correlate", "warn", "exchange", "live", "show")

THREADED = ("base", "net")  # what threads share: under the thread sanitizer


@dataclasses.dataclass
class Count:
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    names: list = dataclasses.field(default_factory=list)  # of what failed

    def __iadd__(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        self.names += other.names
        return self


class Step:
    """What a step may do: run commands into its log and count what they report."""

    def __init__(self, name, lane, before=()):
        self.name, self.lane, self.count, self.before = name, lane, Count(), list(before)
        self.busy = 0.0  # seconds of one core
        self.log_path = LOGS / f"{name}.log"
        self.log = open(self.log_path, "w+", errors="replace")
        self.environment = dict(os.environ, BAVN_BINARY=str(BINARY), BAVN_TEST_LANE=lane, BAVN_CRASH_KILLS=str(KILLS[lane]),
                                BAVN_SOURCE_DIR=str(ROOT), PYTHONDONTWRITEBYTECODE="1")
        corpora = ROOT.parent / "shared" / "corpora"
        if "BAVN_CORPORA" not in self.environment and corpora.is_dir():
            self.environment["BAVN_CORPORA"] = str(corpora)

    def run(self, *command, seconds=1800, **more):
        """Exit code and what the command said. A command that hangs is ended and counts as failed."""
        words = self.before + [str(word) for word in command]
        self.log.write(f"$ {' '.join(words)}\n")
        self.log.flush()
        start = self.log.tell()
        environment = dict(self.environment, **more)
        late = threading.Event()
        try:
            child = subprocess.Popen(words, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=self.log, stderr=subprocess.STDOUT)
            watch = threading.Timer(seconds, lambda: (late.set(), child.kill()))
            watch.start()
            _, status, used = os.wait4(child.pid, 0)
            watch.cancel()
            code = child.returncode = os.waitstatus_to_exitcode(status)
            self.busy += used.ru_utime + used.ru_stime
        except OSError as trouble:
            code = -1
            self.log.write(f"{trouble}\n")
        if late.is_set():
            code = -1
            self.log.write(f"\nended after {seconds} s\n")
        self.log.flush()
        with open(self.log_path, errors="replace") as again:
            again.seek(start)
            said = again.read()
        self.log.seek(0, os.SEEK_END)
        return code, said

    def one(self, name, *command, **more):
        """The command is one test."""
        code, said = self.run(*command, **more)
        self.add(name, code == 0)
        return code == 0, said

    def add(self, name, good):
        if good:
            self.count.passed += 1
        else:
            self.count.failed += 1
            self.count.names.append(name)

    def ctest(self, folder, *arguments, **more):
        """Counts the GoogleTest cases inside; a ctest entry without any, or one that died, counts as one."""
        code, said = self.run("ctest", "--test-dir", folder, "-V", *arguments, seconds=3600, **more)
        got = Count(len(re.findall(r"^(?:\d+: )?\[       OK \] ", said, re.M)))
        failed = set(re.findall(r"^(?:\d+: )?\[  FAILED  \] ([\w/]+\.[\w/]+)", said, re.M))
        got.skipped = len(set(re.findall(r"^(?:\d+: )?\[  SKIPPED \] ([\w/]+\.[\w/]+)", said, re.M)))
        got.failed, got.names = len(failed), sorted(failed)
        entries = re.findall(r"^ *\d+/\d+ Test +#(\d+): (\S+) \.*\s*(Passed|\S.*?) +[\d.]+ sec", said, re.M)
        for number, name, verdict in entries:
            has_cases = re.search(rf"^{number}: \[==========\]", said, re.M)
            case_failed = re.search(rf"^{number}: \[  FAILED  \] ", said, re.M)
            if verdict == "Passed" and not has_cases:
                got.passed += 1
            elif verdict != "Passed" and not case_failed:
                got.failed += 1
                got.names.append(f"{name}: {verdict.strip('* ')}")
        if code != 0 and got.failed == 0 or not entries:
            got.failed += 1
            got.names.append(f"ctest in {folder} ended with {code}")
        self.count += got

    def unittest(self, path, seconds=900):
        code, said = self.run(sys.executable, path, "-v", seconds=seconds)
        ran = re.search(r"^Ran (\d+) tests?", said, re.M)
        where = pathlib.Path(path).name
        if not ran:
            self.add(f"{where} ended with {code}", False)
            return
        bad = [f"{where}: {name}" for name in re.findall(r"^(?:FAIL|ERROR): (\S+)", said, re.M)]
        skipped = re.search(r"skipped=(\d+)", said)
        skips = int(skipped[1]) if skipped else 0
        if code != 0 and not bad:
            bad = [f"{where} ended with {code}"]
        self.count += Count(max(0, int(ran[1]) - len(bad) - skips), len(bad), skips, bad)


# --- the steps, in order; each says in which lanes it runs ---------------------------------------------------------


def checks(step):
    step.one("layers", sys.executable, "tools/check_layers.py")
    step.unittest("tools/check_layers_test.py")
    step.one("contract of the API", sys.executable, "tools/openapi.py", "--check")
    step.one("texts of settings and of what is said about partners", sys.executable, "tools/sentences.py", "--check")
    step.unittest("tools/sentences_test.py")
    step.one("formatting (tools/format.sh repairs it)", "tools/format.sh", "--check")
    step.one("headers compile alone", sys.executable, "tools/check_headers.py")


def build_a(step):
    good, _ = step.one("configure dev", "cmake", "--preset", "dev")
    if good:
        good, _ = step.one("build dev", "cmake", "--build", "--preset", "dev", seconds=5400)
    return good


def unit(step):
    more = {"BAVN_BENCH_EVENTS": "2000000"} if step.lane == "long" else {}
    step.ctest("build/dev", BAVN_CRASH_KILLS=str(KILLS["fast"]), **more)


def ui(step):
    """The web front end: types, lint, unit tests, what the first visit loads."""
    code, folder = step.run("tools/node.sh")
    if code != 0:
        step.add("Node.js is there (tools/setup.sh gets it)", False)
        return
    more = {"PATH": f"{folder.strip()}:{os.environ['PATH']}", "BAVN_UI_OUT": str(ROOT / "build" / "dev" / "ui" / "dist")}
    for name in ("check", "lint"):
        step.one(f"ui {name}", "npm", "--prefix", "ui", "run", "--silent", name, **more)
    code, said = step.run("npm", "--prefix", "ui", "run", "--silent", "unit", "--", "--reporter=json", **more)
    counts = re.search(r'"numTotalTests":(\d+),"numPassedTests":(\d+),"numFailedTests":(\d+)', said)
    if counts and int(counts[1]):
        step.count += Count(int(counts[2]), int(counts[3]), 0, ["ui unit"] if int(counts[3]) else [])
    else:
        step.add(f"ui unit ended with {code}", False)
    step.one("ui first load within its budget", "npm", "--prefix", "ui", "run", "--silent", "budget", **more)


def browser(step):
    """Pages in Chromium over the mock: tasks in three languages, axe, keyboard, hostile strings."""
    code, folder = step.run("tools/node.sh")
    more = {"PATH": f"{folder.strip()}:{os.environ['PATH']}", "BAVN_UI_OUT": str(ROOT / "build" / "dev" / "ui" / "dist")}
    for path in sorted((ROOT / "tests" / "browser").glob("*_test.mjs")):
        # A browser on a busy machine now and then loses a page for good: what failed is asked once more, and that is printed.
        for attempt in ("first", "second"):
            code, said = step.run("node", "--test", "--test-reporter=tap", path, seconds=1800, **more)
            good = len(re.findall(r"^ *ok \d+ ", said, re.M)) - len(re.findall(r"^ok \d+ .*\.mjs$", said, re.M))
            bad = re.findall(r"^ *not ok \d+ - (.*)", said, re.M)
            if code != 0 and not bad or good + len(bad) == 0:
                bad = [f"{path.name} ended with {code}"]
            if not bad:
                break
            if attempt == "first":
                print(f"    {path.name} once more after: {', '.join(bad)}", flush=True)
        step.count += Count(good, len(bad), 0, [f"{path.name}: {name}" for name in bad])


def e2e(step):
    for path in sorted((ROOT / "tests" / "e2e").glob("*.py")):
        step.unittest(path)


def contract(step):
    """The running hub and node against api/*.yaml, with schemathesis."""
    code, said = step.run("tests/contract/run.sh", seconds=1200)
    ran = re.search(r"^Ran (\d+) tests?", said, re.M)
    bad = [f"contract: {name}" for name in re.findall(r"^(?:FAIL|ERROR): (\S+)", said, re.M)]
    if not ran or (code != 0 and not bad):
        bad = [f"tests/contract ended with {code}"]
    step.count += Count(int(ran[1]) - len(bad) if ran else 0, len(bad), 0, bad)


def crash(step):
    """The store of history killed at random moments; unit runs the same few times."""
    step.one(f"history survives {KILLS[step.lane]} kills", "build/dev/src/history/history_tests", "--gtest_filter=Crash.*", seconds=3600)
    for path in sorted((ROOT / "tests" / "crash").glob("*.py")):
        step.unittest(path, seconds=3600)


def build_b(step):
    """Build B, and what the thread sanitizer is run over."""
    good, _ = step.one("configure asan", "cmake", "--preset", "asan")
    if good:
        fuzzers = [pathlib.Path(line).name for line in (ROOT / "build" / "asan" / "fuzzers.txt").read_text().split()]
        targets = [f"{module}_tests" for module in SANITIZED] + fuzzers
        good, _ = step.one("build asan", "cmake", "--build", "--preset", "asan", "--target", *targets, seconds=5400)
    if good:
        good, _ = step.one("configure tsan", "cmake", "--preset", "tsan")
    if good:
        good, _ = step.one("build tsan", "cmake", "--build", "--preset", "tsan", "--target", *(f"{m}_tests" for m in THREADED), seconds=3600)
    return good


SANITIZERS = {"ASAN_OPTIONS": "abort_on_error=1:detect_leaks=1:allocator_may_return_null=1",
              "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1"}


def unit_asan(step):
    # Not the benches: their figures would be the sanitizer's.
    more = {} if step.lane == "long" else {"GTEST_FILTER": "-*Bench.*", "BAVN_CRASH_KILLS": "3"}
    step.ctest("build/asan", "-j2", "-R", f"^unit\\.({'|'.join(SANITIZED)})$", **SANITIZERS, **more)


def fuzz(step):
    """Each fuzzer: first every seed and every input that ever crashed it (fuzz/NAME/), then new ones for some seconds."""
    seconds = FUZZ_SECONDS[step.lane]
    listed = ROOT / "build" / "asan" / "fuzzers.txt"
    fuzzers = [line for line in listed.read_text().splitlines() if line] if listed.exists() else []
    if not fuzzers:
        step.add("no fuzzer was built", False)
    for path in fuzzers:
        name = pathlib.Path(path).name
        found = ROOT / "build" / "fuzz" / name
        found.mkdir(parents=True, exist_ok=True)
        seeds = ROOT / "fuzz" / name
        limits = ["-timeout=10", "-rss_limit_mb=2048", f"-artifact_prefix={LOGS}/{name}-"]
        if seeds.is_dir():
            step.one(f"{name} over fuzz/{name}", path, "-runs=0", *limits, seeds, **SANITIZERS)
        step.one(f"{name} for {seconds} s", path, f"-max_total_time={seconds}", *limits, found, *([seeds] if seeds.is_dir() else []),
                 seconds=seconds + 120, **SANITIZERS)


def tsan(step):
    """What threads share, under the thread sanitizer."""
    for module in THREADED:
        step.one(f"{module}_tests without data races", f"build/tsan/src/{module}/{module}_tests", TSAN_OPTIONS="halt_on_error=1")


def interop(step):
    for path in sorted((ROOT / "tests" / "interop").glob("*/run.sh")):
        step.one(f"interop {path.parent.name}", path, seconds=1800)


def bench(step):
    for path in sorted((ROOT / "benches").glob("smoke*.py")):
        step.unittest(path)
    # 350,000 indicators, asked by wrk: printed, not judged.
    step.one("api.py", sys.executable, ROOT / "benches/api.py", "--seconds", "1", seconds=300)


STEPS = [
    ("checks", checks, ALL),
    ("build_a", build_a, ALL),
    ("unit", unit, ALL),
    ("ui", ui, ALL),
    ("e2e", e2e, ALL),
    ("browser", browser, NOT_FAST),
    ("contract", contract, NOT_FAST),
    ("crash", crash, NOT_FAST),
    ("interop", interop, NOT_FAST),
    ("bench", bench, NOT_FAST),
    ("build_b", build_b, NOT_FAST),
    ("unit_asan", unit_asan, NOT_FAST),
    ("fuzz", fuzz, NOT_FAST),
    ("tsan", tsan, NOT_FAST),
]
BUILDS = {"build_a": ("unit", "ui", "e2e", "browser", "contract", "crash", "interop", "bench"), "build_b": ("unit_asan", "fuzz", "tsan")}
BEHIND = {"build_b": "build_a"}  # begun when the other has ended, waited for in its own place


class Work(threading.Thread):
    """A step at work: run() here, start() behind the others."""

    def __init__(self, name, action, lane, before=()):
        super().__init__(daemon=True)
        self.step, self.action, self.good, self.minutes = Step(name, lane, before), action, False, None

    def run(self):
        start = time.monotonic()
        try:
            self.good = self.action(self.step)
        finally:
            self.minutes = (time.monotonic() - start) / 60


def tail(path, lines=25):
    text = path.read_text(errors="replace").splitlines()
    faults = [line for line in text if re.search(r"error:|FAILED|FAIL:|ERROR:|Error 1|AddressSanitizer|runtime error", line)]
    return "\n".join(["    " + line for line in [*faults[:10], "...", *text[-lines:]]])


def main(arguments):
    if "-h" in arguments or "--help" in arguments:
        print(__doc__.strip())
        return 0
    if "--list" in arguments:
        print("\n".join(f"{name:10} {', '.join(l for l in ('fast', 'ci', 'long') if l in lanes)}" for name, _, lanes in STEPS))
        return 0
    lane, only, rest = "ci", None, list(arguments)
    while rest:
        word = rest.pop(0)
        if word in ("--fast", "--long"):
            lane = word[2:]
        elif word == "--only" and rest:
            only = rest.pop(0).split(",")
        else:
            print(f"test: {word} is not known; ./test --help", file=sys.stderr)
            return 2
    unknown = [name for name in only or [] if name not in {s[0] for s in STEPS}]
    if unknown:
        print(f"test: no step {unknown[0]}; ./test --list names them", file=sys.stderr)
        return 2
    LOGS.mkdir(parents=True, exist_ok=True)
    lane = "ci" if only and lane == "fast" else lane
    chosen = [(name, action) for name, action, lanes in STEPS if (name in only if only else lane in lanes)]
    total, broken, behind, began = Count(), {}, {}, time.monotonic()
    for name, action in chosen:
        if name in broken:
            print(f"{name:10} not run: {broken[name]} failed", flush=True)
            total += Count(failed=1, names=[f"{name} not run"])
            continue
        work = behind.pop(name, None) or Work(name, action, lane)
        if not work.is_alive() and work.minutes is None:
            work.run()
        work.is_alive() and work.join()
        if work.good is False and not work.step.count.failed:
            work.step.add(f"{name} broke off", False)
        for later, first in BEHIND.items():
            if first == name and later in dict(chosen):
                behind[later] = Work(later, dict(chosen)[later], lane, ["nice", "-n", "19"])
                behind[later].start()
        step, count = work.step, work.step.count
        skipped = f", {count.skipped} skipped" if count.skipped else ""
        print(f"{name:10} {work.minutes:5.1f} min ({step.busy / 60:5.1f} of a core)  {count.passed} passed, {count.failed} failed{skipped}", flush=True)
        if count.failed:
            print("".join(f"    failed: {f}\n" for f in count.names[:20]) + f"  the end of build/logs/{name}.log:\n{tail(step.log_path)}", flush=True)
        if work.good is False:
            broken |= {later: name for later in BUILDS.get(name, ())}
        total += count
    print(f"in all {(time.monotonic() - began) / 60:.1f} min" + (f", {total.skipped} skipped" if total.skipped else ""))
    print(f"{total.passed} passed, {total.failed} failed")
    return 1 if total.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
