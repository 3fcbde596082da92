"""Write the wasm modules that the benchmarks load: `fixtures/*.wat` and `.wasm`.

The recorded history depends on their bytes: if a module changes, every benchmark that uses it needs
a new version. Run `python -m scripts.make_fixtures` only to add a size.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from wasmtime import wat2wasm

from benchmarks._shapes import EXPORTED

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"
# Calls a host function from the third of its functions: for native backtraces.
THREE_DEEP = """\
(module
  (import "host" "walk" (func $walk))
  (func $inner (call $walk))
  (func $middle (call $inner))
  (func $outer (export "run") (call $middle)))
"""

MIXERS = ("xor", "add", "rotl", "or")
TESTS = ("lt_s", "gt_u", "ne", "le_s", "ge_u")


def write_function(index: int, *, exported: bool) -> str:
    """Return the text of a function: a load, a comparison, an early return and arithmetic.

    No two functions are equal.
    """
    export = f' (export "f{index}")' if exported else ""
    test, mixer = TESTS[index % len(TESTS)], MIXERS[index % len(MIXERS)]
    return f"""\
  (func $f{index}{export} (param $at i32) (result i32)
    (if (i32.{test} (i32.load offset={4 * index} (local.get $at)) (i32.const {104729 * index}))
      (then (return (i32.const {1664525 + 2 * index}))))
    (i32.{mixer} (local.get $at) (i32.const {7919 * index + 1})))
"""


def write_module(functions: int) -> str:
    """Return the text of the module with that many functions."""
    bodies = (
        write_function(index, exported=index < EXPORTED[functions]) for index in range(functions)
    )
    return f'(module\n  (memory (export "memory") 1)\n{"".join(bodies)})\n'


def save_module(name: str, text: str) -> None:
    """Write a module as text and binary."""
    path = FIXTURES / f"{name}.wat"
    path.write_text(text, encoding="utf-8", newline="\n")
    path.with_suffix(".wasm").write_bytes(wat2wasm(text))


def main(arguments: Sequence[str] | None = None) -> None:
    """Write all modules."""
    parser = argparse.ArgumentParser(prog="python -m scripts.make_fixtures", description=__doc__)
    parser.parse_args(arguments)
    for functions in EXPORTED:
        save_module(f"functions-{functions}", write_module(functions))
        print(f"functions-{functions}: {functions} functions, {EXPORTED[functions]} exported")
    save_module("three-deep", THREE_DEEP)
    print("three-deep: 3 functions, 1 exported")


if __name__ == "__main__":
    main()
