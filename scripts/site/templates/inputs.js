// Reads numbers, files and links for the calculator. Nothing here touches the page.

const LARGEST = 1e9; // of any number that can be entered
// Links made before October 2026 have positions in these lists, of platforms and of releases.
const FORMER_PLATFORMS = ["apple-silicon", "intel-mac", "libunwind", "libgcc-tree", "libgcc-list", "windows"];
const FORMER_ERAS = ["18", "21", "49", "50"];
const STATE = ["platform", "release", "macos", "language", "fdes", "modules", "unload", "residents"];

class InputError extends Error {}

// A whole number, such as `1000`, `1,000` or `1 000`. Throws InputError.
function parseCount(text, least = 1) {
  const written = text.trim();
  if (!written) throw new InputError("Enter a whole number, such as 1,000.");
  if (!/^(\d+|\d{1,3}(,\d{3})+|\d{1,3}([ \u00a0\u202f]\d{3})+)$/.test(written)) {
    throw new InputError(`“${written}” is not a whole number. Enter one such as 1000 or 1,000.`);
  }
  const value = Number(written.replace(/\D/g, ""));
  if (value < least) throw new InputError(`Enter ${least} or more.`);
  if (value > LARGEST) throw new InputError(`Enter ${formatCount(LARGEST)} or less.`);
  return value;
}

// FDEs per module: a number, a range such as `491 to 503`, or `at least 491`. Throws InputError.
function parseFdes(text) {
  const least = text.trim().match(/^at least (.+)$/i);
  if (least) return { low: parseCount(least[1]), high: null };
  const range = text.trim().match(/^(.+?)\s*(?:to|[-–])\s*(.+)$/i);
  if (!range || !/\d/.test(range[1])) {
    const value = parseCount(text);
    return { low: value, high: value };
  }
  const [low, high] = [parseCount(range[1]), parseCount(range[2])];
  if (low > high) throw new InputError(`The range ends with ${high}, which is less than ${low}.`);
  return { low, high };
}

function formatFdes({ low, high }) {
  if (high === null) return `at least ${formatCount(low)}`;
  return low === high ? formatCount(low) : `${formatCount(low)} to ${formatCount(high)}`;
}

// The major release of `47`, `47.0.2` or `v47.0.2`, or null if the model has none.
function parseRelease(model, text) {
  const major = Number(text.match(/^v?(\d{1,4})(\.\d+){0,2}$/)?.[1] ?? NaN);
  return major >= model.eras[0].major && major <= model.newest ? String(major) : null;
}

function findEra(model, release) {
  return model.eras.findLastIndex((era) => era.major <= Number(release));
}

// The parts of f, such as `283 functions + 183 exported or in tables + 25 function types + 0 to 12 helpers`.
function describeContents(rules, contents, release) {
  if (contents.kind === "precompiled") return "counted in the compiled file; another release may have a few more or less";
  const span = predictFdes(rules, contents, release);
  if (contents.kind === "component" && release < rules.trampolinesMerged) {
    return `${formatCount(contents.functions)} functions; the other FDEs of a component are not known before 22.0.0`;
  }
  const escaping = contents.escaping + (release >= rules.startupFunctions ? 0 : contents.starts);
  const per = release >= rules.trampolinesMerged ? 1 : 2;
  const known = contents.functions + per * escaping + contents.types;
  const others = formatFdes({ low: span.low - known, high: span.high === null ? null : span.high - known });
  const twice = per === 2 ? "2 × " : "";
  const plural = (count) => (count === 1 ? "" : "s");
  return `${formatCount(contents.functions)} function${plural(contents.functions)} + ${twice}${formatCount(escaping)} exported or in tables` +
    ` + ${formatCount(contents.types)} function type${plural(contents.types)}` +
    ` + ${others} helpers`;
}

// The advice for a range of FDEs. It is too close to call if the ends differ.
function adviseSpan(model, platform, era, { fdes, modules, unload, residents }, macos) {
  const adviseFor = (size) => advise(model, platform, era, unload === "one"
    ? { modules: 1, fdes: size, residents: residents + (modules - 1) * size }
    : { modules, fdes: size, residents }, macos);
  const least = adviseFor(fdes.low);
  if (fdes.low === fdes.high || !least.cost) return least;
  if (fdes.high === null) {
    const isCertain = least.decision === model.decisions.TURN_OFF;
    return { ...least, decision: isCertain ? least.decision : model.decisions.UNKNOWN, isLeast: true };
  }
  const most = adviseFor(fdes.high);
  const decision = least.decision === most.decision ? least.decision : model.decisions.EITHER;
  return { ...most, decision, cost: [least.cost[0], most.cost[1]] };
}

// The state in the query of an address, and a sentence for each part of it that cannot be used.
function readAddress(model, query) {
  const given = Object.fromEntries(new URLSearchParams(query));
  const [state, problems] = [{}, []];
  for (const name of STATE) if (given[name]) state[name] = given[name];
  if (/^\d$/.test(given.platform ?? "")) state.platform = FORMER_PLATFORMS[given.platform];
  if (given.era !== undefined) state.release = FORMER_ERAS[given.era] ?? given.era;
  if (state.release !== undefined) {
    const release = parseRelease(model, state.release);
    if (!release) {
      problems.push(`The link names release ${state.release}. Known here: ${model.eras[0].major} to ${model.newest}.`);
      delete state.release;
    } else {
      state.release = release;
    }
  }
  if (given.size !== undefined) state.fdes = translateSize(given, Number(state.release ?? model.newest));
  for (const [name, known] of Object.entries({
    platform: model.platforms.map((platform) => platform.key),
    macos: model.macos.map((version) => version.key),
    unload: ["all", "one"],
  })) {
    if ((name in state || given[name]) && !known.includes(state[name])) {
      problems.push(`The link names “${given[name]}”. Known here: ${known.join(", ")}.`);
      delete state[name];
    }
  }
  return { state, problems };
}

// Former links gave functions and exported functions, and assumed one function type.
function translateSize({ size, unit, exported }, release) {
  if (unit !== "functions") return size;
  const functions = Math.floor(Number(size));
  const exports = Math.min(Math.floor(Number(exported ?? 0)), functions);
  return String(functions + exports * (release >= 22 ? 1 : 2) + 1);
}

// The query for a state, without the fields that have their initial values.
function writeAddress(state, initial) {
  const query = new URLSearchParams();
  for (const name of STATE) {
    const isChosen = ["platform", "release"].includes(name);
    if (state[name] && (isChosen || state[name] !== initial[name])) query.set(name, state[name]);
  }
  return `?${query}`;
}
