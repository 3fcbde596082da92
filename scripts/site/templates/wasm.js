// The reader of scripts/cost/wasm.py, function by function. `rules` has its tables and sentences.

class WasmError extends Error {}

// Reads the parts of a binary file from `position` up to `end`, without copies.
class WasmReader {
  constructor(rules, data, name, position = 0, end = data.length) {
    Object.assign(this, { rules, data, name, position, end });
  }

  error(sentence = this.rules.sentences.damaged) {
    return new WasmError(sentence.replaceAll("{position}", this.position).replaceAll("{name}", () => this.name));
  }

  skip(length) {
    const before = this.position;
    if (length > this.end - before) {
      if (this.end !== this.data.length) throw this.error();
      this.position = this.end;
      throw this.error(this.rules.sentences.truncated);
    }
    this.position += length;
    return before;
  }

  at(position) {
    const reader = new WasmReader(this.rules, this.data, this.name);
    reader.skip(position);
    return reader;
  }

  byte() {
    return this.data[this.skip(1)];
  }

  // An unsigned LEB128 number. Numbers above 2**53, which nothing here uses, lose digits.
  number(largest = 5) {
    let value = 0;
    for (let i = 0; i < largest; i++) {
      const byte = this.byte();
      value += (byte & 0x7f) * 128 ** i;
      if (byte < 0x80) return value;
    }
    throw this.error();
  }

  integer(size) {
    const start = this.skip(size);
    let value = 0;
    for (let i = size - 1; i >= 0; i--) value = value * 256 + this.data[start + i];
    return value;
  }

  text() {
    let text = "";
    for (let byte = this.byte(); byte; byte = this.byte()) text += String.fromCharCode(byte);
    return text;
  }

  part(length) {
    const start = this.skip(length);
    return new WasmReader(this.rules, this.data, this.name, start, this.position);
  }

  peek() {
    return this.position < this.end ? this.data[this.position] : -1;
  }

  *sections(preamble) {
    const start = this.skip(preamble.length);
    if (!preamble.every((byte, i) => this.data[start + i] === byte)) throw this.error();
    while (this.position < this.end) {
      const number = this.byte();
      yield [number, this.part(this.number())];
    }
  }

  contains([first, second]) {
    let at = this.data.indexOf(first, this.position);
    while (at >= 0 && at < this.end) {
      const next = this.data[at + 1];
      if (second === undefined) return true;
      if (at + 1 < this.end && (next === second || next === (second | 0x80))) return true;
      at = this.data.indexOf(first, at + 1);
    }
    return false;
  }
}

// The contents of a file, a Uint8Array, as Python's `read_wasm`. Throws WasmError.
function readWasm(rules, data, name) {
  const reader = new WasmReader(rules, data, name);
  const startsWith = (magic) => magic.every((byte, i) => data[i] === byte);
  if (startsWith(rules.elf)) return { ...emptyContents("precompiled"), counted: countImageFdes(reader) };
  const component = { modules: [], components: 0, trampolines: 0, resources: 0, lifts: false, callsItself: false };
  if (startsWith(rules.module)) {
    component.modules.push(readWasmModule(reader));
    return combineModules("module", component, reader);
  }
  if (startsWith(rules.component)) {
    readWasmComponent(reader, component);
    return combineModules("component", component, reader);
  }
  throw reader.error(findWasmProblem(rules, data));
}

function findWasmProblem(rules, data) {
  let start = 0;
  while ([32, 9, 13, 10].includes(data[start]) && start < 512) start++;
  for (const [magic, sentence] of rules.formats) {
    if (magic.every((byte, i) => data[start + i] === byte)) return sentence;
  }
  if (!data.length) return rules.sentences.empty;
  const isCut = rules.module.slice(0, 4).every((byte, i) => i >= data.length || data[i] === byte);
  return isCut ? rules.sentences.version : rules.sentences.other;
}

function emptyContents(kind) {
  return {
    kind, functions: 0, escaping: 0, types: 0, starts: 0, startups: [0, 0], certain: [], possible: [],
    trampolines: 0, resources: 0, linked: false, counted: null,
  };
}

function readWasmModule(reader) {
  const module = {
    kinds: [], signatures: [], importedFunctions: 0, importedTables: 0, functions: 0, tables: 0, memories: 0,
    segments: 0, named: new Set(), start: -1, bodies: 0, code: null,
    certainlyStartsUp: false, possiblyStartsUp: false, certain: new Set(), possible: new Set(),
  };
  const readers = {
    1: readTypes, 2: readImports, 3: readFunctions, 4: readTables, 5: readMemories, 6: readGlobals,
    7: readExports, 8: readStart, 9: readElements, 10: readCode, 11: readData, 13: readTags,
  };
  for (const [number, section] of reader.sections(reader.rules.module)) {
    if (readers[number]) {
      readers[number](section, module);
      if (number !== 10 && number !== 11 && section.position !== section.end) throw section.error();
    } else if (number !== 0 && number !== 12) {
      throw section.error();
    }
  }
  if (reader.position === reader.data.length && module.bodies < module.functions) {
    throw reader.error(reader.rules.sentences.truncated);
  }
  const defined = module.importedFunctions + module.functions;
  let largest = module.start;
  for (const index of module.named) largest = Math.max(largest, index);
  if (module.bodies !== module.functions || largest >= defined) throw reader.error();
  findUses(module, reader.rules);
  return module;
}

function findUses(module, rules) {
  const available = {
    memory: module.memories > 0,
    table: module.tables > 0,
    "element segment": module.segments > 0,
    "declared function": module.named.size > 0,
  };
  for (const [use, need, opcode] of rules.instructions) {
    const search = use === "memory.grow" && module.memories > 1 ? opcode.slice(0, 1) : opcode;
    if (available[need] && module.code?.contains(search)) module.possible.add(use);
  }
  for (const use of module.certain) module.possible.add(use);
}

function readTypes(reader, module) {
  for (let left = reader.number(); left > 0; left--) {
    if (reader.peek() === 0x4e) {
      reader.byte();
      for (let types = reader.number(); types > 0; types--) readType(reader, module);
    } else {
      readType(reader, module);
    }
  }
}

function readType(reader, module) {
  let form = reader.byte();
  if (form === 0x50 || form === 0x4f) {
    for (let left = reader.number(); left > 0; left--) reader.number();
    form = reader.byte();
  }
  if (!(form in reader.rules.composite)) throw reader.error();
  module.kinds.push(reader.rules.composite[form]);
  if (form === 0x60) {
    const signature = [readValueTypes(reader), readValueTypes(reader)];
    module.signatures.push(signature);
    for (const values of signature) for (const value of values) useReference(value, module);
    return;
  }
  module.possible.add("objects").add("references");
  if (form === 0x5d) {
    reader.number();
    return;
  }
  for (let left = form === 0x5f ? reader.number() : 1; left > 0; left--) {
    if (reader.peek() === 0x77 || reader.peek() === 0x78) reader.byte();
    else readValueType(reader);
    reader.byte();
  }
}

function readValueTypes(reader) {
  const values = [];
  for (let left = reader.number(); left > 0; left--) values.push(readValueType(reader));
  return values;
}

function readValueType(reader) {
  const byte = reader.byte();
  if (byte === 0x63 || byte === 0x64) return readHeapType(reader);
  const name = reader.rules.numeric[byte] ?? reader.rules.abstract[byte];
  if (name === undefined) throw reader.error();
  return name;
}

function readHeapType(reader) {
  return reader.rules.abstract[reader.peek()] ? reader.rules.abstract[reader.byte()] : reader.number();
}

function useReference(value, module) {
  const kind = module.kinds[value] ?? value;
  if (["extern", "any", "exn", "cont"].includes(kind)) module.possible.add("references");
}

function readLimits(reader) {
  const flags = reader.byte();
  if (flags > 0x0f) throw reader.error();
  reader.number(10);
  if (flags & 1) reader.number(10);
  if (flags & 8) reader.number();
}

function readTableType(reader, module) {
  module.tables += 1;
  useReference(readValueType(reader), module);
  readLimits(reader);
}

function readImports(reader, module) {
  for (let left = reader.number(); left > 0; left--) {
    reader.skip(reader.number());
    reader.skip(reader.number());
    const kind = reader.byte();
    if (kind === 0) {
      module.importedFunctions += 1;
      reader.number();
    } else if (kind === 1) {
      module.importedTables += 1;
      readTableType(reader, module);
    } else if (kind === 2) {
      module.memories += 1;
      readLimits(reader);
    } else if (kind === 3) {
      useReference(readValueType(reader), module);
      reader.byte();
    } else if (kind === 4) {
      readTag(reader, module);
    } else {
      throw reader.error();
    }
  }
}

function readFunctions(reader, module) {
  module.functions = reader.number();
  for (let left = module.functions; left > 0; left--) reader.number();
}

function readTables(reader, module) {
  for (let left = reader.number(); left > 0; left--) {
    if (reader.peek() === 0x40) {
      reader.skip(2);
      readTableType(reader, module);
      readExpression(reader, module);
      module.possiblyStartsUp = true;
    } else {
      readTableType(reader, module);
    }
  }
}

function readMemories(reader, module) {
  for (let left = reader.number(); left > 0; left--) {
    module.memories += 1;
    readLimits(reader);
  }
}

function readTags(reader, module) {
  for (let left = reader.number(); left > 0; left--) readTag(reader, module);
}

function readTag(reader, module) {
  reader.byte();
  reader.number();
  module.possible.add("objects").add("references");
}

function readGlobals(reader, module) {
  for (let left = reader.number(); left > 0; left--) {
    useReference(readValueType(reader), module);
    reader.byte();
    if (!readExpression(reader, module)) module.certainlyStartsUp = module.possiblyStartsUp = true;
  }
}

function readExpression(reader, module) {
  let [numeric, other] = [0, 0];
  for (let opcode = reader.byte(); opcode !== 0x0b; opcode = reader.byte()) {
    if (opcode === 0x41 || opcode === 0x42) reader.number(10);
    else if (opcode === 0x43 || opcode === 0x44) reader.skip(opcode === 0x43 ? 4 : 8);
    else if (opcode === 0xfd) {
      if (reader.number() !== 0x0c) throw reader.error();
      reader.skip(16);
    } else {
      other += 1;
      readOtherConstant(reader, opcode, module);
      continue;
    }
    numeric += 1;
  }
  return numeric === 1 && other === 0;
}

function readOtherConstant(reader, opcode, module) {
  if (opcode === 0x23) reader.number();
  else if (opcode === 0xd0) readHeapType(reader);
  else if (opcode === 0xd2) {
    module.named.add(reader.number());
    module.possible.add("references to functions");
  }
  else if (opcode === 0xfb) {
    const instruction = reader.number();
    if ([0, 1, 6, 7].includes(instruction)) reader.number();
    else if (instruction === 8) {
      reader.number();
      reader.number();
    } else if (![0x1a, 0x1b, 0x1c].includes(instruction)) throw reader.error();
  } else if (![0x6a, 0x6b, 0x6c, 0x7c, 0x7d, 0x7e].includes(opcode)) throw reader.error();
}

function readExports(reader, module) {
  for (let left = reader.number(); left > 0; left--) {
    reader.skip(reader.number());
    const [kind, index] = [reader.byte(), reader.number()];
    if (kind === 0) module.named.add(index);
    else if (kind > 4) throw reader.error();
  }
}

function readStart(reader, module) {
  module.start = reader.number();
  module.certainlyStartsUp = module.possiblyStartsUp = true;
}

function readElements(reader, module) {
  for (let left = reader.number(); left > 0; left--) {
    const flags = reader.number();
    if (flags > 7) throw reader.error();
    const [isActive, hasExpressions] = [!(flags & 1), Boolean(flags & 4)];
    const table = (flags & 3) === 2 ? reader.number() : 0;
    if (isActive) readExpression(reader, module);
    if (flags & 3) {
      if (hasExpressions) readValueType(reader);
      else reader.byte();
    }
    const elements = reader.number();
    for (let i = 0; i < elements; i++) {
      if (hasExpressions) readExpression(reader, module);
      else module.named.add(reader.number());
    }
    module.segments += 1;
    if ((flags & 3) === 1) module.certain.add("passive elements");
    if ((flags & 3) !== 3) {
      module.possiblyStartsUp = true;
      module.possible.add("references to functions");
    }
    const isDynamic = hasExpressions || table < module.importedTables;
    if ((flags & 3) === 1 || (isActive && elements && isDynamic)) module.certainlyStartsUp = true;
  }
}

function readCode(reader, module) {
  module.bodies = reader.number();
  module.code = reader;
}

function readData(reader, module) {
  for (let left = reader.number(); left > 0; left--) {
    const flags = reader.number();
    if (flags > 2) throw reader.error();
    if (flags === 2) reader.number();
    if (flags !== 1) readExpression(reader, module);
    const length = reader.number();
    reader.skip(length);
    if (flags === 1) continue;
    module.possiblyStartsUp = true;
    module.possible.add("active data");
    if (!length) continue;
    module.certainlyStartsUp = true;
    module.certain.add("active data");
    return;
  }
}

function readWasmComponent(reader, component, depth = 1) {
  component.components += 1;
  if (depth > reader.rules.maximumDepth) throw reader.error();
  for (const [number, section] of reader.sections(reader.rules.component)) {
    if (number === 1) component.modules.push(readWasmModule(section));
    else if (number === 4) readWasmComponent(section, component, depth + 1);
    else if (number === 8) readDefinitions(section, component);
    else if (number === 7 || number === 10) component.resources = 1;
    else if (number > 12) throw section.error();
  }
}

function readDefinitions(reader, component) {
  const definitions = reader.number();
  let lifted = 0;
  for (let i = 0; i < definitions; i++) {
    const kind = reader.byte();
    if (kind === 0) {
      lifted += 1;
      component.lifts = true;
      reader.skip(1);
      reader.number();
      skipOptions(reader);
      reader.number();
    } else if (kind === 1) {
      component.callsItself ||= component.lifts;
      reader.skip(1);
      reader.number();
      skipOptions(reader);
    } else if ([2, 3, 4].includes(kind)) {
      reader.number();
    } else {
      break;
    }
  }
  component.trampolines += definitions - lifted;
}

function skipOptions(reader) {
  for (let left = reader.number(); left > 0; left--) {
    const option = reader.byte();
    if ([3, 4, 5, 7, 8].includes(option)) reader.number();
    else if (![0, 1, 2, 6, 9].includes(option)) throw reader.error();
  }
}

function combineModules(kind, { modules, components, trampolines, resources, callsItself }, reader) {
  const sum = (value) => modules.reduce((total, module) => total + Number(value(module)), 0);
  const collect = (name) => [...new Set(modules.flatMap((module) => [...module[name]]))].sort();
  const escapes = (module) => [...module.named].filter((index) => index >= module.importedFunctions).length;
  const hasStart = (module) => module.start >= module.importedFunctions && !module.named.has(module.start);
  return {
    ...emptyContents(kind),
    functions: sum((module) => module.functions),
    escaping: sum(escapes),
    types: new Set(modules.flatMap((module) => nameSignatures(module, reader))).size,
    starts: sum(hasStart),
    startups: [sum((module) => module.certainlyStartsUp), sum((module) => module.possiblyStartsUp)],
    certain: collect("certain"),
    possible: collect("possible"),
    trampolines,
    resources: resources * (trampolines ? 2 : 1),
    linked: components > 1 || callsItself,
  };
}

// The function types, with the kind of every reference.
function nameSignatures(module, reader) {
  const nameType = (value) => {
    if (typeof value === "string") return value;
    if (value >= module.kinds.length) throw reader.error();
    return module.kinds[value];
  };
  return module.signatures.map((signature) => signature.map((values) => values.map(nameType).join(" ")).join(" -> "));
}

function countImageFdes(reader) {
  const sections = readElfSections(reader);
  if (!sections.has(".wasmtime.engine")) throw reader.error(reader.rules.sentences.elf);
  const frames = sections.get(".eh_frame");
  let fdes = 0;
  while (frames && frames.position < frames.end) {
    const length = frames.integer(4);
    if (length === 0) break;
    fdes += Number(frames.part(length).integer(4) !== 0);
  }
  return fdes;
}

function readElfSections(reader) {
  const headers = reader.at(0x28).integer(8);
  const counts = reader.at(0x3a);
  const [size, number, names] = [counts.integer(2), counts.integer(2), counts.integer(2)];
  const strings = readElfSection(reader, headers + size * names);
  const sections = new Map();
  for (let i = 0; i < number; i++) {
    const header = headers + size * i;
    const name = strings.at(strings.position + reader.at(header).integer(4));
    if (reader.at(header + 4).integer(4) === reader.rules.emptySection) continue;
    sections.set(name.text(), readElfSection(reader, header));
  }
  return sections;
}

function readElfSection(reader, header) {
  const place = reader.at(header + 0x18);
  const [offset, length] = [place.integer(8), place.integer(8)];
  return reader.at(offset).part(length);
}

// The range of FDEs under a major release, as Python's `Contents.predict`. `high` may be null.
function predictFdes(rules, contents, release) {
  if (contents.counted !== null) return { low: contents.counted, high: contents.counted };
  const isMerged = release >= rules.trampolinesMerged;
  if (contents.kind === "component" && !isMerged) return { low: contents.functions, high: null };
  const startsUp = release >= rules.startupFunctions;
  const escaping = contents.escaping + (startsUp ? 0 : contents.starts);
  const [certain, possible] = startsUp ? contents.startups : [0, 0];
  const fdes = contents.functions + (isMerged ? 1 : 2) * escaping + contents.types;
  const low = fdes + 2 * certain + countHelpers(rules, contents.certain, release);
  if (contents.linked) return { low, high: null };
  const helpers = countHelpers(rules, contents.possible, release);
  return { low, high: fdes + 2 * possible + helpers + 2 * contents.trampolines + contents.resources };
}

function countHelpers(rules, uses, release) {
  const names = new Set();
  for (const [use, helpers, since, until] of rules.helpers) {
    if (!uses.includes(use) || release < since || release > (until ?? release)) continue;
    for (const name of helpers) names.add(name);
  }
  return names.size;
}

// The range that holds the FDEs under every major release from first to last.
function predictFdesSpan(rules, contents, first, last) {
  const span = { low: Infinity, high: 0 };
  for (let release = first; release <= last; release++) {
    const { low, high } = predictFdes(rules, contents, release);
    span.low = Math.min(span.low, low);
    span.high = span.high === null || high === null ? null : Math.max(span.high, high);
  }
  return span;
}
