"""Predict f, the number of FDEs that Wasmtime registers for a module, from the module's bytes.

Wasmtime compiles, and describes with one FDE each:

- every function that the module defines;
- trampolines from the host to every function that escapes: that is exported, or listed in an
  element segment, or named by `ref.func` outside of code. One from 22.0.0 on, two before
  (bytecodealliance/wasmtime#8629);
- a trampoline to the host for every distinct function type, used or not;
- from 20.0.0 on, a helper for every builtin that the compiled code calls (`HELPERS`);
- from 46.0.0 on, two startup functions if instantiation has to run code. Until then, the start
  function escapes.

These rules were read from the symbols of images that pinned releases compiled, and agree with
Wasmtime's source (`crates/wasmtime/src/compile.rs`). `tests/test_wasm.py` compares predictions with
counted FDEs. What only a compiler can know, whether an instruction that occurs in the code calls
its helper, makes f a range.

The prediction is for arm64, and for x86-64 processors with SSE4.1 and FMA: for older ones, Wasmtime
compiles helpers for rounding too. Typed references to functions, which have to be enabled before
47.0.0, may add trampolines before 22.0.0 that are not predicted.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple

MAGIC = b"\0asm"
MODULE, COMPONENT = MAGIC + b"\1\0\0\0", MAGIC + b"\x0d\0\1\0"
ELF = b"\x7fELF\2\1"  # 64-bit, little-endian
MAXIMUM_DEPTH = 100  # of components in components
EMPTY_SECTION = 8  # takes no space in an ELF file
NOT_AN_IMAGE = (
    "{name} is an ELF file, but not a module that Wasmtime compiled. Pass the .wasm file."
)

# Files that are often mistaken for modules: their first bytes, and a sentence.
OTHER_FORMATS = {
    b"\x7fELF": NOT_AN_IMAGE,
    b"\x1f\x8b": "{name} is compressed with gzip. Unpack it first: gunzip --keep {name}",
    b"\x28\xb5\x2f\xfd": "{name} is compressed with zstd. Unpack it first: unzstd {name}",
    b"\xfd7zXZ": "{name} is compressed with xz. Unpack it first: unxz --keep {name}",
    b"BZh": "{name} is compressed with bzip2. Unpack it first: bunzip2 --keep {name}",
    b"PK\3\4": "{name} is a zip archive. Unpack it first: unzip {name}",
    b"version https://git-lfs": "{name} is a Git LFS pointer. Fetch the file itself: git lfs pull",
    b"BC\xc0\xde": "{name} is LLVM bitcode. Link it to a module first: wasm-ld",
    b"!<arch>": "{name} is a static library. Link it to a module first: wasm-ld",
    b"<": "{name} is a web page. Was the download refused?",
    b"(component": "{name} is a component as text. Translate it first: wasm-tools parse {name}",
    b"(": "{name} is WebAssembly text. Translate it first: wat2wasm {name}",
    b";;": "{name} is WebAssembly text. Translate it first: wat2wasm {name}",
}
SENTENCES = {
    "empty": "{name} is empty. Download or build it again.",
    "other": "{name} is not WebAssembly: it does not start with \\0asm.",
    "version": "{name} is truncated, or of an unknown WebAssembly version. Download it again.",
    "truncated": "{name} is truncated: it ends after {position} bytes. Download or build it again.",
    "damaged": "{name} cannot be read at byte {position}: it is damaged, or uses a WebAssembly "
    "proposal that is not known here. Download or build it again, or measure it with the probe.",
    "elf": NOT_AN_IMAGE,
}

# Instructions that may call a helper: the module must have what the instruction needs, and its code
# must contain the opcode. The bytes of an opcode can also occur by chance.
INSTRUCTIONS = {
    "memory.grow": ("memory", (0x40, 0x00)),
    "memory.init": ("memory", (0xFC, 0x08)),
    "data.drop": ("memory", (0xFC, 0x09)),
    "memory.copy": ("memory", (0xFC, 0x0A)),
    "memory.fill": ("memory", (0xFC, 0x0B)),
    "memory.atomic.notify": ("memory", (0xFE, 0x00)),
    "memory.atomic.wait32": ("memory", (0xFE, 0x01)),
    "memory.atomic.wait64": ("memory", (0xFE, 0x02)),
    "call_indirect": ("table", (0x11,)),
    "return_call_indirect": ("table", (0x13,)),
    "table.get": ("table", (0x25,)),
    "table.init": ("table", (0xFC, 0x0C)),
    "elem.drop": ("element segment", (0xFC, 0x0D)),
    "table.copy": ("table", (0xFC, 0x0E)),
    "table.grow": ("table", (0xFC, 0x0F)),
    "table.fill": ("table", (0xFC, 0x11)),
    "ref.func": ("declared function", (0xD2,)),
}
LAZY = "table_get_lazy_init_func_ref"
PASSIVE = tuple(f"passive_elem_segment_{what}" for what in ("base", "len", "drop"))


class Helper(NamedTuple):
    """Builtins that Wasmtime may call for a use, in major releases `since` to `until`."""

    use: str
    names: tuple[str, ...]
    since: int = 20
    until: int | None = None


# By instruction, or by what a module contains. Observed in images of 20.0.0 to 50.0.1.
HELPERS = (
    Helper("memory.grow", ("memory_grow",)),
    Helper("memory.init", ("memory_init",), until=45),
    Helper("memory.init", ("memory_copy",), since=46),
    Helper("data.drop", ("data_drop",), until=45),
    Helper("memory.copy", ("memory_copy",)),
    Helper("memory.fill", ("memory_fill",)),
    Helper("memory.atomic.notify", ("memory_atomic_notify",)),
    Helper("memory.atomic.wait32", ("memory_atomic_wait32",)),
    Helper("memory.atomic.wait64", ("memory_atomic_wait64",)),
    Helper("call_indirect", (LAZY,)),
    Helper("call_indirect", ("is_subtype",), since=26, until=46),
    Helper("return_call_indirect", (LAZY,)),
    Helper("return_call_indirect", ("is_subtype",), since=26, until=46),
    Helper("table.get", (LAZY,)),
    Helper("table.init", ("table_init",), until=45),
    Helper("table.init", ("ref_func", *PASSIVE[:2]), since=46),
    Helper("elem.drop", ("elem_drop",), until=45),
    Helper("elem.drop", PASSIVE, since=46),
    Helper("table.copy", ("table_copy",), until=45),
    Helper("table.copy", (LAZY,), since=46),
    Helper("table.grow", ("table_grow_func_ref",), until=45),
    Helper("table.grow", ("table_grow",), since=46),
    Helper("table.fill", ("table_fill_func_ref",), until=45),
    Helper("ref.func", ("ref_func",)),
    Helper("active data", ("memory_copy",), since=46),
    Helper("references to functions", ("ref_func",), since=46),
    Helper("passive elements", PASSIVE[:1], since=46),
    Helper("references", ("drop_gc_ref", "gc", "force_gc")),
    Helper("references", ("gc_ref_global_get", "gc_ref_global_set"), until=26),
    Helper("references", ("table_grow_gc_ref", "table_fill_gc_ref"), until=45),
    Helper("objects", ("gc_alloc_raw", "grow_gc_heap", "is_subtype", "ref_func", "cont_new")),
    Helper("objects", ("intern_func_ref_for_gc_heap", "get_interned_func_ref")),
    Helper("objects", ("get_instance_id", "throw_ref", "drop_gc_ref", "gc", "force_gc")),
    Helper("objects", tuple(f"array_{what}" for what in ("copy", "new_data", "new_elem",
                                                         "init_data", "init_elem")), until=45),
    Helper("objects", ("memory_copy", "memory_fill", *PASSIVE), since=46),
)  # fmt: skip

OLDEST, TRAMPOLINES_MERGED, STARTUP_FUNCTIONS = 13, 22, 46  # major releases
NEWEST_CHECKED = 50

NUMERIC = {0x7F: "i32", 0x7E: "i64", 0x7D: "f32", 0x7C: "f64", 0x7B: "v128"}
PACKED = range(0x77, 0x79)  # i16 and i8, in structs and arrays
# Abstract reference types, by the kind of value that a reference to them holds. Types of one kind
# share trampolines.
FUNC, EXTERN, ANY, EXN, CONT = "func", "extern", "any", "exn", "cont"
ABSTRACT = {
    0x70: FUNC, 0x73: FUNC, 0x6F: EXTERN, 0x72: EXTERN, 0x69: EXN, 0x74: EXN, 0x68: CONT,
    0x75: CONT, 0x6E: ANY, 0x6D: ANY, 0x6C: ANY, 0x6B: ANY, 0x6A: ANY, 0x71: ANY,
}  # fmt: skip
COMPOSITE = {0x60: FUNC, 0x5F: ANY, 0x5E: ANY, 0x5D: CONT}  # kinds of defined types


class WasmError(ValueError):
    """A file is not WebAssembly, or is damaged. The message is one sentence with its remedy."""


class Kind(Enum):
    """What a file contains."""

    MODULE = "module"
    COMPONENT = "component"
    PRECOMPILED = "precompiled"


class Range(NamedTuple):
    """The least and the greatest possible number; `high` is None where only the least is known."""

    low: int
    high: int | None


@dataclass(frozen=True)
class Contents:
    """The contents of a WebAssembly file that decide how many FDEs it has.

    Attributes:
        kind: what the file is. Of a precompiled file only `counted` is known.
        functions: functions defined in all core modules.
        escaping: those that are exported, in an element segment, or in `ref.func` outside of code.
        types: distinct function types.
        starts: defined start functions that do not escape otherwise.
        startups: core modules that certainly, and that possibly, have startup functions from
            46.0.0 on.
        certain, possible: uses of helpers, as in `HELPERS`, that certainly or possibly occur.
        trampolines: functions that a component takes from its host, each with two FDEs if used.
        resources: 1 if a component may have a trampoline to drop resources, 2 if its destructor may
            be a function of the host, whose type no core module declares.
        linked: whether a component may call functions of its own, or of components in it. The
            functions that adapt these calls are not predicted.
        counted: FDEs of a precompiled file.
    """

    kind: Kind
    functions: int = 0
    escaping: int = 0
    types: int = 0
    starts: int = 0
    startups: tuple[int, int] = (0, 0)
    certain: frozenset[str] = frozenset()
    possible: frozenset[str] = frozenset()
    trampolines: int = 0
    resources: int = 0
    linked: bool = False
    counted: int | None = None

    def predict(self, release: int) -> Range:
        """Return the FDEs under a major release, 13 or later.

        Components were compared with images from 39.0.0 on. Before 22.0.0, only their functions
        are known.
        """
        if self.counted is not None:
            return Range(self.counted, self.counted)
        if self.kind is Kind.COMPONENT and release < TRAMPOLINES_MERGED:
            return Range(self.functions, None)
        starts_up = release >= STARTUP_FUNCTIONS
        escaping = self.escaping + (0 if starts_up else self.starts)
        per_escaping = 1 if release >= TRAMPOLINES_MERGED else 2
        fdes = self.functions + per_escaping * escaping + self.types
        certain, possible = self.startups if starts_up else (0, 0)
        low = fdes + 2 * certain + len(helper_names(self.certain, release))
        if self.linked:
            return Range(low, None)
        high = fdes + 2 * possible + len(helper_names(self.possible, release))
        return Range(low, high + 2 * self.trampolines + self.resources)

    def predict_span(self, first: int, last: int) -> Range:
        """Return the range that holds the FDEs under every major release from first to last."""
        ranges = [self.predict(release) for release in range(first, last + 1)]
        highs = [high for _, high in ranges if high is not None]
        low = min(low for low, _ in ranges)
        return Range(low, max(highs) if len(highs) == len(ranges) else None)

    @property
    def fdes_up_to_21(self) -> Range:
        """FDEs under 13.0.0 to 21.0.0."""
        return self.predict_span(OLDEST, TRAMPOLINES_MERGED - 1)

    @property
    def fdes_from_22(self) -> Range:
        """FDEs under 22.0.0 and later."""
        return self.predict_span(TRAMPOLINES_MERGED, NEWEST_CHECKED)


def helper_names(uses: frozenset[str], release: int) -> set[str]:
    """Return the helpers that a major release may compile for some uses."""
    return {
        name
        for helper in HELPERS
        if helper.use in uses and helper.since <= release <= (helper.until or release)
        for name in helper.names
    }


def build_rules() -> dict[str, Any]:
    """Return the tables and sentences of this module for `scripts/site/templates/wasm.js`."""
    return {
        "formats": [[[*start], sentence] for start, sentence in OTHER_FORMATS.items()],
        "sentences": SENTENCES,
        "module": [*MODULE],
        "component": [*COMPONENT],
        "elf": [*ELF],
        "emptySection": EMPTY_SECTION,
        "maximumDepth": MAXIMUM_DEPTH,
        "instructions": [[use, *rule] for use, rule in INSTRUCTIONS.items()],
        "helpers": [[*helper] for helper in HELPERS],
        "numeric": NUMERIC,
        "abstract": ABSTRACT,
        "composite": COMPOSITE,
        "oldest": OLDEST,
        "trampolinesMerged": TRAMPOLINES_MERGED,
        "startupFunctions": STARTUP_FUNCTIONS,
        "newestChecked": NEWEST_CHECKED,
    }


def read_wasm(data: bytes | bytearray | memoryview, name: str) -> Contents:
    """Read a module, a component, or a module that Wasmtime compiled (.cwasm).

    Args:
        data: the bytes of the file.
        name: how to call the file in errors.

    Raises:
        WasmError: the file is something else, damaged or truncated.
    """
    reader = Reader(memoryview(data), name)
    start = bytes(data[:512])
    if start.startswith(ELF):
        return Contents(Kind.PRECOMPILED, counted=count_image_fdes(reader))
    if start.startswith(MODULE):
        return combine(Kind.MODULE, Component([read_module(reader)]), reader)
    if start.startswith(COMPONENT):
        component = Component()
        read_component(reader, component)
        return combine(Kind.COMPONENT, component, reader)
    raise reader.error(find_problem(start))


def find_problem(start: bytes) -> str:
    """Return why the first bytes of a file are not those of WebAssembly: a sentence for a name."""
    text = start.lstrip(b" \t\r\n")
    for magic, sentence in OTHER_FORMATS.items():
        if text.startswith(magic):
            return sentence
    if not start:
        return SENTENCES["empty"]
    return SENTENCES["version" if start[:4] == MAGIC[: len(start)] else "other"]


class Reader:
    """Reads the parts of a binary file from `position` up to `end`, without copies."""

    def __init__(self, data: memoryview, name: str, position: int = 0, end: int = -1) -> None:
        self.data = data
        self.name = name
        self.position = position
        self.end = len(data) if end < 0 else end

    def error(self, sentence: str = SENTENCES["damaged"]) -> WasmError:
        """Return an error of one sentence, with the name of the file and the position."""
        return WasmError(sentence.format(name=self.name, position=self.position))

    def skip(self, length: int) -> int:
        """Move on by some bytes, and return the position before.

        Raises:
            WasmError: they are beyond the end.
        """
        before = self.position
        if length > self.end - before:
            if self.end == len(self.data):
                self.position = self.end
                raise self.error(SENTENCES["truncated"])
            raise self.error()
        self.position += length
        return before

    def at(self, position: int) -> "Reader":
        """Return a reader that starts elsewhere in the file."""
        reader = Reader(self.data, self.name)
        reader.skip(position)
        return reader

    def byte(self) -> int:
        """Read a byte."""
        return self.data[self.skip(1)]

    def number(self, largest: int = 5) -> int:
        """Read an unsigned LEB128 number of at most `largest` bytes, 5 for 32 bits."""
        value = shift = 0
        start, stop = self.position, min(self.position + largest, self.end)
        for position in range(start, stop):  # without calls: large modules have 100,000 numbers
            byte = self.data[position]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                self.position = position + 1
                return value
            shift += 7
        self.position = stop
        if stop - start < largest:
            self.skip(1)  # raises, because the file or the section ends here
        raise self.error()

    def integer(self, size: int) -> int:
        """Read a little-endian number of a fixed size."""
        start = self.skip(size)
        return int.from_bytes(self.data[start : start + size], "little")

    def text(self) -> bytes:
        """Read bytes up to the next zero byte."""
        start = self.position
        while self.byte():
            pass
        return bytes(self.data[start : self.position - 1])

    def part(self, length: int) -> "Reader":
        """Skip some bytes, and return a reader of them."""
        start = self.skip(length)
        return Reader(self.data, self.name, start, self.position)

    def peek(self) -> int:
        """Return the next byte without reading it, or -1 at the end."""
        return self.data[self.position] if self.position < self.end else -1

    def sections(self, preamble: bytes) -> Iterator[tuple[int, "Reader"]]:
        """Iterate over the sections of a module or a component: their numbers and readers."""
        start = self.skip(len(preamble))
        if self.data[start : self.position] != preamble:
            raise self.error()
        while self.position < self.end:
            number = self.byte()
            yield number, self.part(self.number())

    def contains(self, opcode: tuple[int, ...]) -> bool:
        """Search for an opcode. Its second byte may be the start of a padded number."""
        pattern = re.escape(bytes(opcode[:1]))
        if opcode[1:]:
            pattern += b"[" + re.escape(bytes((opcode[1], opcode[1] | 0x80))) + b"]"
        search = re.compile(pattern, re.DOTALL).search
        return search(self.data, self.position, self.end) is not None


@dataclass
class Module:
    """What a core module contains, while it is read.

    Attributes:
        kinds: the kind of each defined type.
        signatures: parameters and results of each function type, as of `read_value_type`.
        imported_functions, imported_tables, functions, tables, memories, segments: numbers of them.
        named: functions that are exported, in element segments or in `ref.func` outside of code.
        start: the start function, or -1.
        starts_up: whether the module certainly, or possibly, has startup functions.
        certain, possible: uses of helpers.
    """

    kinds: list[str] = field(default_factory=list)
    signatures: list[tuple[tuple[int | str, ...], ...]] = field(default_factory=list)
    imported_functions: int = 0
    imported_tables: int = 0
    functions: int = 0
    tables: int = 0
    memories: int = 0
    segments: int = 0
    named: set[int] = field(default_factory=set)
    start: int = -1
    bodies: int = 0
    code: Reader | None = None
    certainly_starts_up: bool = False
    possibly_starts_up: bool = False
    certain: set[str] = field(default_factory=set)
    possible: set[str] = field(default_factory=set)

    @property
    def escaping(self) -> int:
        """The number of defined functions that escape."""
        return sum(index >= self.imported_functions for index in self.named)

    @property
    def has_start(self) -> bool:
        """Whether a defined function is the start function and does not escape otherwise."""
        return self.start >= self.imported_functions and self.start not in self.named

    def trampoline_types(self, reader: Reader) -> set[str]:
        """Return the distinct function types, with the kind of every reference."""
        types = set()
        for signature in self.signatures:
            names = [[self.name_type(value, reader) for value in values] for values in signature]
            types.add(" ".join(names[0]) + " -> " + " ".join(names[1]))
        return types

    def name_type(self, value: int | str, reader: Reader) -> str:
        """Return the name of a value type, which is a kind for a reference to a defined type."""
        if isinstance(value, str):
            return value
        if value >= len(self.kinds):
            raise reader.error()
        return self.kinds[value]

    def use_reference(self, value: int | str) -> None:
        """Note a type of values that may be references to something other than functions."""
        if isinstance(value, int) and value < len(self.kinds):
            value = self.kinds[value]
        if value in (EXTERN, ANY, EXN, CONT):
            self.possible.add("references")


def read_module(reader: Reader) -> Module:
    """Read a core module."""
    module = Module()
    readers = {
        1: read_types, 2: read_imports, 3: read_functions, 4: read_tables, 5: read_memories,
        6: read_globals, 7: read_exports, 8: read_start, 9: read_elements, 10: read_code,
        11: read_data, 13: read_tags,
    }  # fmt: skip
    skipped = (0, 12)  # custom sections, and the number of data segments
    for number, section in reader.sections(MODULE):
        if number in readers:
            readers[number](section, module)
            # code and data are not read to their ends
            if number not in (10, 11) and section.position != section.end:
                raise section.error()
        elif number not in skipped:
            raise section.error()
    if reader.position == len(reader.data) and module.bodies < module.functions:
        raise reader.error(SENTENCES["truncated"])
    defined = module.imported_functions + module.functions
    if module.bodies != module.functions or max((module.start, *module.named)) >= defined:
        raise reader.error()
    find_uses(module)
    return module


def find_uses(module: Module) -> None:
    """Note the instructions that the code may contain, and what follows from its segments."""
    available = {
        "memory": module.memories > 0,
        "table": module.tables > 0,
        "element segment": module.segments > 0,
        "declared function": bool(module.named),
    }
    for use, (need, opcode) in INSTRUCTIONS.items():
        # a memory with another number than 0 stands after the opcode of memory.grow
        search = opcode[:1] if use == "memory.grow" and module.memories > 1 else opcode
        if available[need] and module.code is not None and module.code.contains(search):
            module.possible.add(use)
    module.possible |= module.certain


def read_types(reader: Reader, module: Module) -> None:
    """Read the type section: single types and recursion groups."""
    for _ in range(reader.number()):
        if reader.peek() == 0x4E:
            reader.byte()
            for _ in range(reader.number()):
                read_type(reader, module)
        else:
            read_type(reader, module)


def read_type(reader: Reader, module: Module) -> None:
    """Read a type, which may name its supertypes first."""
    form = reader.byte()
    if form in (0x50, 0x4F):
        for _ in range(reader.number()):
            reader.number()
        form = reader.byte()
    if form not in COMPOSITE:
        raise reader.error()
    module.kinds.append(COMPOSITE[form])
    if form == 0x60:
        signature = tuple(
            tuple(read_value_type(reader) for _ in range(reader.number())) for _ in range(2)
        )
        module.signatures.append(signature)
        for values in signature:
            for value in values:
                module.use_reference(value)
        return
    module.possible.update(("objects", "references"))
    if form == 0x5D:
        reader.number()
        return
    for _ in range(reader.number() if form == 0x5F else 1):
        if reader.peek() in PACKED:
            reader.byte()
        else:
            read_value_type(reader)
        reader.byte()  # whether the field is mutable


def read_value_type(reader: Reader) -> int | str:
    """Read a value type: return its name, or the number of the type that a reference points to."""
    byte = reader.byte()
    if byte in NUMERIC:
        return NUMERIC[byte]
    if byte in (0x63, 0x64):
        return read_heap_type(reader)
    if byte in ABSTRACT:
        return ABSTRACT[byte]
    raise reader.error()


def read_heap_type(reader: Reader) -> int | str:
    """Read what a reference points to: return a kind, or the number of a defined type."""
    return ABSTRACT[reader.byte()] if reader.peek() in ABSTRACT else reader.number()


def read_limits(reader: Reader) -> None:
    """Read the size of a memory or a table: flags, a minimum, maybe a maximum and a page size."""
    flags = reader.byte()
    if flags > 0x0F:
        raise reader.error()
    reader.number(10)
    if flags & 1:
        reader.number(10)
    if flags & 8:
        reader.number()


def read_table_type(reader: Reader, module: Module) -> None:
    """Read the type of a table."""
    module.tables += 1
    module.use_reference(read_value_type(reader))
    read_limits(reader)


def read_imports(reader: Reader, module: Module) -> None:
    """Read the import section."""
    for _ in range(reader.number()):
        for _ in range(2):  # the names of the module and of the field
            reader.skip(reader.number())
        kind = reader.byte()
        if kind == 0:
            module.imported_functions += 1
            reader.number()
        elif kind == 1:
            module.imported_tables += 1
            read_table_type(reader, module)
        elif kind == 2:
            module.memories += 1
            read_limits(reader)
        elif kind == 3:
            module.use_reference(read_value_type(reader))
            reader.byte()
        elif kind == 4:
            read_tag(reader, module)
        else:
            raise reader.error()


def read_functions(reader: Reader, module: Module) -> None:
    """Read the function section: the number of defined functions, and a type for each."""
    module.functions = reader.number()
    for _ in range(module.functions):
        reader.number()


def read_tables(reader: Reader, module: Module) -> None:
    """Read the table section. A table may have an expression for its elements."""
    for _ in range(reader.number()):
        if reader.peek() != 0x40:
            read_table_type(reader, module)
            continue
        reader.skip(2)
        read_table_type(reader, module)
        read_expression(reader, module)
        module.possibly_starts_up = True


def read_memories(reader: Reader, module: Module) -> None:
    """Read the memory section."""
    for _ in range(reader.number()):
        module.memories += 1
        read_limits(reader)


def read_tags(reader: Reader, module: Module) -> None:
    """Read the tag section."""
    for _ in range(reader.number()):
        read_tag(reader, module)


def read_tag(reader: Reader, module: Module) -> None:
    """Read a tag: exceptions are objects."""
    reader.byte()
    reader.number()
    module.possible.update(("objects", "references"))


def read_globals(reader: Reader, module: Module) -> None:
    """Read the global section. Only numeric constants need no startup function."""
    for _ in range(reader.number()):
        module.use_reference(read_value_type(reader))
        reader.byte()  # whether the global is mutable
        if not read_expression(reader, module):
            module.certainly_starts_up = module.possibly_starts_up = True


def read_expression(reader: Reader, module: Module) -> bool:
    """Read a constant expression; return whether it is a single numeric constant."""
    numeric = other = 0
    while (opcode := reader.byte()) != 0x0B:
        if opcode in (0x41, 0x42):  # i32.const, i64.const
            reader.number(10)
            numeric += 1
        elif opcode in (0x43, 0x44):  # f32.const, f64.const
            reader.skip(4 if opcode == 0x43 else 8)
            numeric += 1
        elif opcode == 0xFD:
            if reader.number() != 0x0C:  # v128.const
                raise reader.error()
            reader.skip(16)
            numeric += 1
        else:
            other += 1
            read_other_constant(reader, opcode, module)
    return numeric == 1 and not other


def read_other_constant(reader: Reader, opcode: int, module: Module) -> None:
    """Read the operands of an instruction in an expression that is not a numeric constant."""
    if opcode == 0x23:  # global.get
        reader.number()
    elif opcode == 0xD0:  # ref.null
        read_heap_type(reader)
    elif opcode == 0xD2:  # ref.func
        module.named.add(reader.number())
        module.possible.add("references to functions")
    elif opcode == 0xFB:
        instruction = reader.number()
        if instruction in (0, 1, 6, 7):  # struct.new, array.new, and the same with defaults
            reader.number()
        elif instruction == 8:  # array.new_fixed
            reader.number()
            reader.number()
        elif instruction not in (0x1A, 0x1B, 0x1C):  # conversions of externref, ref.i31
            raise reader.error()
    elif opcode not in (0x6A, 0x6B, 0x6C, 0x7C, 0x7D, 0x7E):  # add, sub, mul of i32 and i64
        raise reader.error()


def read_exports(reader: Reader, module: Module) -> None:
    """Read the export section."""
    for _ in range(reader.number()):
        reader.skip(reader.number())
        kind, index = reader.byte(), reader.number()
        if kind == 0:
            module.named.add(index)
        elif kind > 4:
            raise reader.error()


def read_start(reader: Reader, module: Module) -> None:
    """Read the start section."""
    module.start = reader.number()
    module.certainly_starts_up = module.possibly_starts_up = True


def read_elements(reader: Reader, module: Module) -> None:
    """Read the element section: active, passive and declared segments."""
    for _ in range(reader.number()):
        flags = reader.number()
        if flags > 7:
            raise reader.error()
        is_active, has_expressions = not flags & 1, bool(flags & 4)
        table = reader.number() if flags & 3 == 2 else 0
        if is_active:
            read_expression(reader, module)
        if flags & 3:
            if has_expressions:
                read_value_type(reader)
            else:
                reader.byte()  # the kind of the elements: functions
        elements = reader.number()
        for _ in range(elements):
            if has_expressions:
                read_expression(reader, module)
            else:
                module.named.add(reader.number())
        module.segments += 1
        if flags & 3 == 1:
            module.certain.add("passive elements")
        if flags & 3 != 3:
            module.possibly_starts_up = True
            module.possible.add("references to functions")
        # other active segments become part of the image if they fit the table
        is_dynamic = has_expressions or table < module.imported_tables
        if flags & 3 == 1 or (is_active and elements and is_dynamic):
            module.certainly_starts_up = True


def read_code(reader: Reader, module: Module) -> None:
    """Note the number of bodies, and where the code is."""
    module.bodies = reader.number()
    module.code = reader


def read_data(reader: Reader, module: Module) -> None:
    """Read the data section up to the first active segment that has data.

    No later segment changes anything, and Go's compiler writes ten thousands of segments.
    """
    for _ in range(reader.number()):
        flags = reader.number()
        if flags > 2:
            raise reader.error()
        if flags == 2:
            reader.number()
        if flags != 1:
            read_expression(reader, module)
        length = reader.number()
        reader.skip(length)
        if flags != 1:
            module.possibly_starts_up = True
            module.possible.add("active data")
        if flags != 1 and length:
            module.certainly_starts_up = True
            module.certain.add("active data")
            return


@dataclass
class Component:
    """What a component contains, with the components in it, while it is read.

    Attributes:
        modules: core modules.
        components: number of components.
        trampolines, resources: as of `Contents`; resources is 1 at most.
        lifts: whether a function of a core module has become one of the component.
        calls_itself: whether it may hand such a function to another core module.
    """

    modules: list[Module] = field(default_factory=list)
    components: int = 0
    trampolines: int = 0
    resources: int = 0
    lifts: bool = False
    calls_itself: bool = False


def read_component(reader: Reader, component: Component, depth: int = 1) -> None:
    """Read a component: its core modules, the components in it, and what it takes from the host."""
    component.components += 1
    if depth > MAXIMUM_DEPTH:
        raise reader.error()
    for number, section in reader.sections(COMPONENT):
        if number == 1:
            component.modules.append(read_module(section))
        elif number == 4:
            read_component(section, component, depth + 1)
        elif number == 8:
            read_definitions(section, component)
        elif number in (7, 10):
            component.resources = 1  # types and imports may be resources
        elif number > 12:
            raise section.error()


def read_definitions(reader: Reader, component: Component) -> None:
    """Read a canon section: functions lifted from core modules, and others for core modules.

    Only those for core modules need a trampoline. One that is lowered after another was lifted may
    be the same function; usually, a component lowers all functions of its host first.
    """
    definitions = reader.number()
    lifted = 0
    for _ in range(definitions):
        kind = reader.byte()
        if kind == 0:
            lifted += 1
            component.lifts = True
            reader.skip(1)
            reader.number()
            skip_options(reader)
            reader.number()
        elif kind == 1:
            component.calls_itself = component.calls_itself or component.lifts
            reader.skip(1)
            reader.number()
            skip_options(reader)
        elif kind in (2, 3, 4):  # resource.new, resource.drop, resource.rep
            reader.number()
        else:  # a builtin for concurrency, of unknown length: count all that follow
            break
    component.trampolines += definitions - lifted


def skip_options(reader: Reader) -> None:
    """Skip the options of a lifted or lowered function. Some name a memory or a function."""
    for _ in range(reader.number()):
        option = reader.byte()
        if option in (3, 4, 5, 7, 8):
            reader.number()
        elif option not in (0, 1, 2, 6, 9):
            raise reader.error()


def combine(kind: Kind, component: Component, reader: Reader) -> Contents:
    """Return the contents of a file. Its core modules share types and helpers."""
    modules = component.modules
    return Contents(
        kind,
        functions=sum(module.functions for module in modules),
        escaping=sum(module.escaping for module in modules),
        types=len({name for module in modules for name in module.trampoline_types(reader)}),
        starts=sum(module.has_start for module in modules),
        startups=(
            sum(module.certainly_starts_up for module in modules),
            sum(module.possibly_starts_up for module in modules),
        ),
        certain=frozenset(use for module in modules for use in module.certain),
        possible=frozenset(use for module in modules for use in module.possible),
        trampolines=component.trampolines,
        resources=component.resources * (2 if component.trampolines else 1),
        linked=component.components > 1 or component.calls_itself,
    )


def count_image_fdes(reader: Reader) -> int:
    """Count the FDEs of an image: 0 without unwind info, for Pulley and for Windows.

    An image is an ELF file; the library that `benchmarks` reads it with raises errors of many
    classes for damaged ones, and has no counterpart in the browser.
    """
    sections = dict(iter_elf_sections(reader))
    if b".wasmtime.engine" not in sections:
        raise reader.error(SENTENCES["elf"])
    frames = sections.get(b".eh_frame")
    fdes = 0
    while frames is not None and frames.position < frames.end:
        length = frames.integer(4)
        if length == 0:  # the end of the table
            break
        entry = frames.part(length)
        fdes += entry.integer(4) != 0  # 0 marks a CIE, which FDEs share
    return fdes


def iter_elf_sections(reader: Reader) -> Iterator[tuple[bytes, Reader]]:
    """Iterate over the sections of an ELF file: their names and readers."""
    headers = reader.at(0x28).integer(8)
    counts = reader.at(0x3A)
    size, number, names = (counts.integer(2) for _ in range(3))
    strings = read_elf_section(reader, headers + size * names)
    for index in range(number):
        header = headers + size * index
        name = strings.at(strings.position + reader.at(header).integer(4))
        if reader.at(header + 4).integer(4) != EMPTY_SECTION:
            yield name.text(), read_elf_section(reader, header)


def read_elf_section(reader: Reader, header: int) -> Reader:
    """Return a reader of the section that an ELF section header describes."""
    place = reader.at(header + 0x18)
    offset, length = place.integer(8), place.integer(8)
    return reader.at(offset).part(length)
