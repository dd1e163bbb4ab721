"""The build flags of reliability.md section 8, read out of the binary itself."""

import platform
import re
import subprocess
from pathlib import Path

import pytest
from proxy import BINARY, SANITIZED

pytestmark = pytest.mark.row("8: build flags")
X86 = platform.machine() == "x86_64"
DATA = Path(BINARY).read_bytes()
release = pytest.mark.skipif(SANITIZED, reason="a build with sanitizers is not what is released")


def readelf(*args):
    return subprocess.run(["readelf", "-W", *args, BINARY], capture_output=True, text=True,
                          timeout=60, check=True).stdout


def segments():
    """(type, flags) of each program header."""
    pattern = r"^  (\w+) +0x\w+ 0x\w+ 0x\w+ 0x\w+ 0x\w+ ([R ][W ][E ]) 0x"
    found = re.findall(pattern, readelf("-l"), re.M)
    assert len(found) > 5, readelf("-l")
    return found


def symbols():
    """(place, name) of each dynamic symbol; the place of an imported one is UND."""
    lines = [x.split() for x in readelf("--dyn-syms").splitlines()]
    return [(x[6], x[7].split("@")[0]) for x in lines if len(x) > 7 and x[0].rstrip(":").isdigit()]


def imported():
    return {name for place, name in symbols() if place == "UND"}


def switches():
    """The compiler's command line for each of our files, as gcc records it."""
    found = set(re.findall(rb"GNU C17 [^\0]+", DATA))
    if not found:
        pytest.skip("no debug information by gcc in this binary")
    return [x.decode() for x in found]


def test_pie():
    assert re.search(r"Type:\s+DYN \(Position-Independent Executable", readelf("-h"))
    assert re.search(r"\(FLAGS_1\).*\bPIE\b", readelf("-d"))


def test_full_relro():
    assert "GNU_RELRO" in dict(segments())
    assert re.search(r"\(FLAGS\).*\bBIND_NOW\b", readelf("-d"))
    assert re.search(r"\(FLAGS_1\).*\bNOW\b", readelf("-d"))


def test_no_executable_stack():
    assert dict(segments())["GNU_STACK"] == "RW "


def test_no_segment_is_writable_and_executable():
    assert not [x for x in segments() if "W" in x[1] and "E" in x[1]]
    assert "(TEXTREL)" not in readelf("-d")


def test_libraries_are_found_by_the_system_only():
    assert "(RPATH)" not in readelf("-d") and "(RUNPATH)" not in readelf("-d")


def test_stack_protector():
    assert "__stack_chk_fail" in imported()


@release
def test_fortified():
    """More than the printf family, which nearly every program calls."""
    checked = {name for name in imported() if name.endswith("_chk")}
    assert "__memcpy_chk" in checked and "__snprintf_chk" in checked, checked


@release
def test_exports_nothing_of_its_own():
    """Only the C library's variables that a position-independent program has copies of."""
    own = {name for place, name in symbols() if place != "UND"}
    assert own <= {"stdin", "stdout", "stderr", "environ", "__environ"}, own


@pytest.mark.skipif(not X86, reason="control-flow protection is looked for in x86-64 code")
def test_indirect_branches_land_on_marks():
    """-fcf-protection: an endbr64 begins each function whose address may be taken. The note in
    the file cannot be asked for: Debian's own start files have none, so the linker leaves it out."""
    assert DATA.count(bytes.fromhex("f30f1efa")) > 1000


@pytest.mark.parametrize("flag", [
    "-fPIE", "-fstack-protector-strong", "-fstack-clash-protection", "-ftrivial-auto-var-init=zero",
    "-fcf-protection=full"])
def test_every_file_was_compiled_with(flag):
    if "cf-protection" in flag and not X86:
        pytest.skip("x86-64 only")
    lines = switches()
    assert not [x for x in lines if flag not in x], f"{len(lines)} command lines"


@release
def test_build_id():
    assert re.search(r"Build ID: [0-9a-f]{40}", readelf("-n"))


@release
def test_no_path_of_the_building_machine():
    """Neither in messages nor in debug information: else two builds would differ."""
    root = str(Path(__file__).resolve().parents[2]).encode()
    assert not re.search(rb"(?<![\w.])" + re.escape(root) + b"/", DATA)  # "./src/" is no path of "/src"
