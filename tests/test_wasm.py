"""Reading f, the number of FDEs, from a WebAssembly file: in Python and in the browser's script."""

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import wasmtime
from wasmtime import Config, Engine, Module, wat2wasm

from benchmarks._modules import FIXTURES
from benchmarks.unwind_tables import count_fdes as count_fdes_of_module
from scripts.cost.wasm import Contents, Kind, Range, WasmError, build_rules, read_wasm

from . import check_wasm_prediction as check
from .conftest import ROOT, skip_missing

SCRIPT = ROOT / "scripts/site/templates/wasm.js"
NAME = "my.wasm"
EMPTY = b"\0asm\x01\0\0\0"
EMPTY_COMPONENT = b"\0asm\x0d\0\x01\0"

# Modules in text format, and the least and the greatest number of FDEs under the tests' release.
# Counts are from compiled images; `test_every_module_compiles_to_its_prediction` checks that.
MODULES = {
    "nothing": "(module)",
    "one function": "(module (func))",
    "exported twice": '(module (func (export "a") (export "b")))',
    "exported import": '(module (import "" "" (func $f)) (export "a" (func $f)) (func))',
    "escaping import": '(module (import "" "" (func $f)) (func) (elem declare func $f))',
    "unused types": "(module (type (func (param i32))) (type (func (param i32))) (type (func)))",
    "active elements": "(module (table 3 funcref) (func) (func) (elem (i32.const 1) 0 0 1))",
    "elements beyond the table": "(module (table 1 funcref) (func) (elem (i32.const 5) 0))",
    "elements at an offset": (
        '(module (import "" "" (global i32)) (table 1 funcref) (func) (elem (global.get 0) 0))'
    ),
    "elements of an imported table": (
        '(module (import "" "" (table 1 funcref)) (func) (elem (i32.const 0) 0))'
    ),
    "element expressions": (
        "(module (table 3 funcref) (func) "
        "(elem (i32.const 0) funcref (ref.func 0) (ref.null func)))"
    ),
    "second table": (
        "(module (table 1 funcref) (table $t 2 funcref) (func) "
        "(elem (table $t) (i32.const 0) func 0) (func (param i32) "
        "(call_indirect $t (param i32) (local.get 0) (i32.const 0))))"
    ),
    "passive elements": (
        "(module (table 1 funcref) (func) (elem $e func 0) (func (param i32 i32 i32) "
        "(table.init $e (local.get 0) (local.get 1) (local.get 2)) (elem.drop $e)))"
    ),
    "declared elements": "(module (func (result funcref) (ref.func 0)) (elem declare func 0))",
    "reference in a global": "(module (func) (global funcref (ref.func 0)))",
    "reference in a table": "(module (func) (table 1 (ref func) (ref.func 0)))",
    "globals": (
        '(module (import "" "" (global i64)) (global i32 (i32.const -5)) (global (mut f64) '
        "(f64.const 1)) (global f32 (f32.const 1)) (global v128 (v128.const i64x2 1 11)))"
    ),
    "computed global": "(module (global i32 (i32.add (i32.const 1) (i32.const 11))))",
    "start": "(module (func $s) (start $s))",
    "exported start": '(module (func $s (export "s")) (start $s))',
    "imported start": '(module (import "" "" (func $s)) (start $s))',
    "active data": '(module (memory 1) (data (i32.const 11) "\\0b") (func (param i32)))',
    "empty data": '(module (memory 1) (data (i32.const 0) ""))',
    "passive data": (
        '(module (memory 1) (data $d "x") (func (param i32 i32 i32) '
        "(memory.init $d (local.get 0) (local.get 1) (local.get 2)) (data.drop $d)))"
    ),
    "memory instructions": (
        "(module (memory 1) (func (param i32 i32 i32) (result i32) "
        "(memory.copy (local.get 0) (local.get 1) (local.get 2)) "
        "(memory.fill (local.get 0) (local.get 1) (local.get 2)) (memory.grow (local.get 0))))"
    ),
    "two memories": (
        "(module (memory 1) (memory 1 2) (func (result i32) (memory.grow 1 (i32.const 1))))"
    ),
    "memory64": "(module (memory i64 1 0x1000) (table i64 1 funcref) (func (param i64)))",
    "atomics": (
        "(module (memory 1 1 shared) (func (result i32) "
        "(memory.atomic.notify (i32.const 0) (i32.const 1))))"
    ),
    "table instructions": (
        "(module (table 1 funcref) (func (param i32 i32 i32) "
        "(drop (table.get (local.get 0))) (drop (table.grow (ref.null func) (local.get 1))) "
        "(table.fill (local.get 0) (ref.null func) (local.get 1)) "
        "(table.copy (local.get 0) (local.get 1) (local.get 2))))"
    ),
    "references to the host": (
        "(module (table 1 externref) (global $g (mut externref) (ref.null extern)) "
        "(func (param externref) (table.set (i32.const 0) (global.get $g)) "
        "(global.set $g (local.get 0))))"
    ),
    "exceptions": "(module (tag $t (param i32)) (func (throw $t (i32.const 1))))",
    "recursive types": (
        "(module (rec (type $a (func (param (ref null $b)))) (type $b (func (param (ref $a))))) "
        "(type (func (param funcref))) (func (type $a)))"
    ),
    "structures": (
        "(module (rec (type $s (sub (struct (field (mut i8)) (field (ref null $a))))) "
        "(type $a (array (mut funcref)))) (type (func (param (ref $s)))) "
        "(type (func (param anyref))) (type (func (param eqref externref))) "
        "(global (ref $s) (struct.new $s (i32.const 1) (array.new_fixed $a 1 (ref.func 0)))) "
        "(func (param anyref) (drop (ref.cast (ref $s) (local.get 0)))))"
    ),
    "subtypes": "(module (type $f (sub (func))) (type (sub final $f (func))) (func (type $f)))",
}
EXACT = {  # under 50.0.1; nothing in these modules may call a helper
    "nothing": 0, "one function": 2, "exported twice": 3, "exported import": 2,
    "escaping import": 2, "unused types": 2, "globals": 0, "start": 4,
    "exported start": 5, "imported start": 3, "active data": 5, "computed global": 2,
}  # fmt: skip
COMPONENTS = {
    "own function": (
        '(component (core module $m (func (export "f"))) (core instance $i (instantiate $m)) '
        '(func $f (canon lift (core func $i "f"))) (core func $l (canon lower (func $f))) '
        '(core module $n (import "" "f" (func))) '
        '(core instance (instantiate $n (with "" (instance (export "f" (func $l)))))))'
    ),
    "destructor of the host": (
        '(component (import "h" (func $h (param "x" u32))) (core func $l (canon lower (func $h))) '
        '(type $r (resource (rep i32) (dtor (core func $l)))) (export "r" (type $r)))'
    ),
    "nothing": "(component)",
    "shared types": (
        '(component (core module (func (export "a")) (func)) (core module (func (export "a"))))'
    ),
    "lowered functions": (
        '(component (import "f" (func $f)) (import "g" (func $g)) '
        "(core func $lf (canon lower (func $f))) (core func $lg (canon lower (func $g))) "
        '(core module $m (import "" "f" (func)) (import "" "g" (func)) (func (export "r"))) '
        '(core instance $i (instantiate $m (with "" '
        '(instance (export "f" (func $lf)) (export "g" (func $lg)))))))'
    ),
    "resources": (
        "(component (type $r (resource (rep i32))) (core func $new (canon resource.new $r)) "
        "(core func $rep (canon resource.rep $r)) (core func $drop (canon resource.drop $r)) "
        '(core module $m (import "" "n" (func (param i32) (result i32))) '
        '(import "" "r" (func (param i32) (result i32))) (import "" "d" (func (param i32))) '
        '(func (export "q") (result i32) i32.const 1)) '
        '(core instance $i (instantiate $m (with "" (instance (export "n" (func $new)) '
        '(export "r" (func $rep)) (export "d" (func $drop)))))) '
        '(func (export "q") (result u32) (canon lift (core func $i "q"))))'
    ),
    "linked": (
        '(component (component $c (core module $m (func (export "r") (result i32) i32.const 1)) '
        '(core instance $i (instantiate $m)) (func (export "r") (result u32) '
        '(canon lift (core func $i "r")))) (instance $c (instantiate $c)) '
        '(component $d (import "r" (func $r (result u32))) '
        "(core func $l (canon lower (func $r))) "
        '(core module $m (import "" "r" (func (result i32))) '
        '(func (export "q") (result i32) (call 0))) '
        '(core instance $i (instantiate $m (with "" (instance (export "r" (func $l)))))) '
        '(func (export "q") (result u32) (canon lift (core func $i "q")))) '
        '(instance $d (instantiate $d (with "r" (func $c "r")))) (export "q" (func $d "q")))'
    ),
}
BYTES = {
    **{f"module: {name}": bytes(wat2wasm(text)) for name, text in MODULES.items()},
    **{f"component: {name}": bytes(wat2wasm(text)) for name, text in COMPONENTS.items()},
    **{path.name: path.read_bytes() for path in sorted(FIXTURES.glob("*.wasm"))},
}
OTHER = {  # files that are not WebAssembly, and what the error says
    b"": "my.wasm is empty. Download or build it again.",
    b"\x1f\x8b\x08\0\0": "compressed with gzip. Unpack it first: gunzip --keep my.wasm",
    b"\xfd7zXZ\0": "compressed with xz",
    b"BZh91AY": "compressed with bzip2",
    b"PK\3\4": "a zip archive",
    b"(module (func))": "WebAssembly text. Translate it first",
    b"  ;; a comment\n(module)": "WebAssembly text",
    b"\n<!DOCTYPE html>": "a web page",
    b"\0asm": "truncated, or of an unknown WebAssembly version",
    b"\0as": "truncated, or of an unknown WebAssembly version",
    b"\0asm\x02\0\0\0": "of an unknown WebAssembly version",
    b"const wasm = 1": "my.wasm is not WebAssembly: it does not start with \\0asm.",
    b"\x7fELF\x01\x01\x01": "an ELF file, but not a module that Wasmtime compiled",
    EMPTY + b"\x01\x05\x01": "my.wasm is truncated: it ends after 11 bytes.",
    EMPTY + b"\x01\x02\x01\x60": "my.wasm is truncated: it ends after 12 bytes.",
    EMPTY + b"\x01\x02\x01\x60\x00\x01\x00": "cannot be read at byte 12",
    EMPTY + b"\x01\x02\x01\x99": "cannot be read at byte 12",
    EMPTY + b"\x01\x03\x00\x99\x99": "cannot be read at byte 11",
    EMPTY + b"\x0e\x01\0": "a WebAssembly proposal that is not known here",
    EMPTY + b"\x01\xff\xff\xff\xff\xff\x01": "cannot be read at byte 14",
    EMPTY + b"\x08\x01\x07": "cannot be read",  # a start function that does not exist
    EMPTY_COMPONENT + b"\x01\x08" + EMPTY_COMPONENT: "cannot be read at byte 18",
}


def section(number: int, content: bytes) -> bytes:
    """Return a section of a module, of less than 2 MB."""
    size = len(content)
    return bytes([number, size & 127 | 128, size >> 7 & 127 | 128, size >> 14]) + content


def read_in_python(data: bytes) -> dict[str, Any]:
    """Return contents and predictions, or the error, as `read_in_browser` does."""
    try:
        contents = read_wasm(data, NAME)
    except WasmError as error:
        return {"error": str(error)}
    names = [name for name in Contents.__dataclass_fields__ if name not in ("certain", "possible")]
    values = {name: getattr(contents, name) for name in names}
    return {
        **values, "kind": contents.kind.value, "startups": [*contents.startups],
        "certain": sorted(contents.certain), "possible": sorted(contents.possible),
        "predictions": [[*contents.predict(release)] for release in range(13, 52)],
        "spans": [[*contents.fdes_up_to_21], [*contents.fdes_from_22]],
    }  # fmt: skip


def read_in_browser(inputs: Sequence[bytes], folder: Path) -> list[dict[str, Any]]:
    """Read each input with the script of the site, in Node; any error but WasmError fails."""
    if shutil.which("node") is None:
        skip_missing("Node.js is not installed")
    (folder / "inputs.json").write_text(json.dumps([data.hex() for data in inputs]))
    script = f"""{SCRIPT.read_text("utf-8")}
        const rules = {json.dumps(build_rules())};
        const inputs = JSON.parse(require("fs").readFileSync("inputs.json"));
        console.log(JSON.stringify(inputs.map((hex) => {{
          let contents;
          try {{
            contents = readWasm(rules, Uint8Array.from(Buffer.from(hex, "hex")), "{NAME}");
          }} catch (error) {{
            if (error instanceof WasmError) return {{ error: error.message }};
            throw error;
          }}
          const span = (first, last) => {{
            const range = predictFdesSpan(rules, contents, first, last);
            return [range.low, range.high];
          }};
          const releases = Array.from({{ length: 39 }}, (_, index) => 13 + index);
          const predictions = releases.map((release) => span(release, release));
          return {{ ...contents, predictions, spans: [span(13, 21), span(22, 50)] }};
        }})));"""
    done = subprocess.run(
        ["node", "-"], input=script, cwd=folder, capture_output=True, text=True, check=False,
        timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answers: list[dict[str, Any]] = json.loads(done.stdout)
    return answers


def compile_image(text_or_bytes: str | bytes) -> bytes:
    """Compile a module with the tests' own release."""
    return bytes(Module(Engine(), text_or_bytes).serialize())


def test_both_readers_read_the_same(tmp_path: Path) -> None:
    image = compile_image(BYTES["functions-8.wasm"])
    inputs = [*BYTES.values(), *OTHER, image, image[:3000], image[:20]]
    # every truncation, and every byte changed, of modules with all kinds of sections
    for name in ("structures", "passive elements", "second table", "exceptions", "globals"):
        data = BYTES[f"module: {name}"]
        inputs += [data[:length] for length in range(len(data))]
        for changed in (0, 0x40, 0x7F, 0x80, 0xFF):
            inputs += [
                data[:index] + bytes([changed]) + data[index + 1 :] for index in range(len(data))
            ]
    for name in ("resources", "linked"):
        data = BYTES[f"component: {name}"]
        inputs += [data[:length] for length in range(len(data))]
    inputs += [image[:index] + b"\xff" + image[index + 1 :] for index in range(64)]
    for data, answer in zip(inputs, read_in_browser(inputs, tmp_path), strict=True):
        assert answer == read_in_python(data), data.hex()
    errors = sum("error" in read_in_python(data) for data in inputs)
    assert 1000 < errors < len(inputs) - 500


@pytest.mark.parametrize("data", OTHER, ids=lambda data: repr(data)[:30])
def test_other_files_end_in_one_sentence_with_the_name(data: bytes) -> None:
    with pytest.raises(WasmError) as caught:
        read_wasm(data, NAME)
    message = str(caught.value)
    assert OTHER[data] in message
    assert message.startswith(f"{NAME} ")
    assert "\n" not in message


@pytest.mark.parametrize("name", EXACT)
def test_f_is_exact_where_no_helper_is_possible(name: str) -> None:
    assert read_wasm(BYTES[f"module: {name}"], NAME).predict(50) == Range(EXACT[name], EXACT[name])


@pytest.mark.parametrize(
    ("functions", "before", "since"), [(1, 4, 3), (8, 25, 17), (100, 115, 108), (2000, 2015, 2008)]
)
def test_f_of_the_fixtures(functions: int, before: int, since: int) -> None:
    contents = read_wasm(BYTES[f"functions-{functions}.wasm"], NAME)
    assert contents.kind is Kind.MODULE
    assert contents.functions == functions
    assert contents.types == 1
    # in the code of the larger ones, bytes of helpers' opcodes occur by chance
    width = 0 if functions < 100 else 8
    for counted, (low, high) in (
        (before, contents.fdes_up_to_21),
        (since, contents.fdes_from_22),
        (since, contents.predict(50)),
    ):
        assert low == counted <= (high or 0) <= counted + width


def find_wrong(files: Sequence[Path], release: str, counts: Sequence[int | str]) -> list[str]:
    """Return the files whose count is outside of the predicted range."""
    wrong = []
    for file, count in zip(files, counts, strict=True):
        predicted = check.predict(read_wasm(file.read_bytes(), file.name), release)
        if isinstance(count, int) and not check.is_inside(count, predicted):
            wrong.append(f"{release}, {file.name}: {predicted}, counted {count}")
    return wrong


def write_inputs(folder: Path) -> list[Path]:
    """Write all modules and components to files."""
    files = []
    for index, data in enumerate(BYTES.values()):
        files.append(folder / f"{index}.wasm")
        files[-1].write_bytes(data)
    return files


def test_every_module_compiles_to_its_prediction(tmp_path: Path) -> None:
    files = write_inputs(tmp_path)
    site_packages = Path(str(wasmtime.__file__)).parent.parent
    counts = check.count_fdes(site_packages, files)
    assert [
        (name, count)
        for name, count in zip(BYTES, counts, strict=True)
        if not isinstance(count, int)
    ] == []
    assert find_wrong(files, "50.0.1", counts) == []


def test_fdes_of_a_precompiled_file_are_counted() -> None:
    for path in sorted(FIXTURES.glob("*.wasm")):
        contents = read_wasm(compile_image(path.read_bytes()), "my.cwasm")
        assert contents.kind is Kind.PRECOMPILED
        assert contents.counted == count_fdes_of_module(path) > 0
        assert contents.predict(21) == contents.predict(50) == (contents.counted,) * 2


def test_precompiled_file_without_unwind_info_has_no_fdes() -> None:
    config = Config()
    config.native_unwind_info = False
    image = Module(Engine(config), BYTES["functions-8.wasm"]).serialize()
    assert read_wasm(image, "my.cwasm").counted == 0


def test_components_that_call_each_other_have_no_upper_limit() -> None:
    assert read_wasm(BYTES["component: linked"], NAME).predict(50).high is None
    assert read_wasm(BYTES["component: shared types"], NAME).predict(50) == Range(6, 6)
    assert read_wasm(BYTES["component: shared types"], NAME).fdes_up_to_21 == Range(3, None)


def test_deeply_nested_components_are_refused() -> None:
    data = EMPTY_COMPONENT
    for _ in range(200):
        data = EMPTY_COMPONENT + section(4, data)
    with pytest.raises(WasmError, match="cannot be read"):
        read_wasm(data, NAME)


def test_sections_that_decide_nothing_are_skipped() -> None:
    """A custom section and code of random bytes, in any number, must not be decoded."""
    filler = section(0, b"\x04name" + bytes(1_000_000))
    data = EMPTY + filler * 40 + BYTES["functions-100.wasm"][8:] + filler * 30
    started = time.process_time()
    contents = read_wasm(data, NAME)
    skipping = time.process_time() - started
    assert contents == read_wasm(BYTES["functions-100.wasm"], NAME)
    started = time.process_time()
    sum(data)
    assert skipping < time.process_time() - started  # faster than looking at each byte


@pytest.mark.slow
def test_releases_compile_what_is_predicted(install: Callable[[str], Path], tmp_path: Path) -> None:
    """Includes the real program, and modules of npm packages of several toolchains."""
    files = write_inputs(tmp_path)
    program = "itkwasm_compress_stringify_wasi/wasm_modules/parse-string-decompress.wasi.wasm"
    files.append(install("50.0.1") / program)
    for release in check.RELEASES:
        counts = check.count_fdes(install(release), files)
        assert find_wrong(files, release, counts) == []
        assert sum(isinstance(count, int) for count in counts) > len(files) / 2


@pytest.mark.slow
def test_releases_compile_public_modules_to_their_predictions(
    install: Callable[[str], Path], tmp_path: Path
) -> None:
    if shutil.which("npm") is None:
        skip_missing("npm is not installed: modules of several toolchains come with it")
    try:
        files = check.download_modules(check.PACKAGES, tmp_path)
    except subprocess.SubprocessError as error:
        pytest.skip(f"npm cannot download the modules: {error}")
    assert len(files) >= 8
    for release in check.RELEASES:
        counts = check.count_fdes(install(release), files)
        assert [count for count in counts if isinstance(count, str)] == []
        assert find_wrong(files, release, counts) == []
