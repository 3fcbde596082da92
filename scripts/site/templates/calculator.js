// The calculation of scripts/cost/advice.py. `model` has its constants and sentences.

// `macos` is an entry of model.macos, which only matters on a Mac.
function advise(model, platformIndex, eraIndex, load, macos = model.macos[0]) {
  const platform = model.platforms[platformIndex];
  const era = model.eras[eraIndex];
  const advice = era.platforms[platformIndex];
  const { gives } = advice;
  if (!advice.hasCost) {
    const { decision, notes } = advice;
    return { decision: model.decisions[decision], cost: null, basis: model.bases.NONE, gives, notes };
  }
  const cost = advice.cost ?? estimateCost(model, platform, findRegistrations(platform, era, macos), load);
  const decision = model.decisions[advice.decision ?? decide(model, cost)];
  const notes = noteLimits(model, platform, era, macos, advice.notes);
  return { decision, cost, basis: model.bases.ESTIMATED, gives, notes };
}

function decide(model, [low, high]) {
  if (high <= model.threshold) return "KEEP";
  return low > model.threshold ? "TURN_OFF" : "EITHER";
}

// Whether a module is deregistered by sections: both, if that is not known for sure.
function findRegistrations(platform, era, macos) {
  if (!era.sections || (platform.isMac && macos.sections === "no")) return [false];
  return platform.isMac && macos.sections === "unknown" ? [true, false] : [true];
}

// Nanoseconds per entry of a scan of a table: linear in the logarithm of its size.
function rateAt(points, entries) {
  if (entries <= points[0][0]) return points[0][1];
  for (let i = 1; i < points.length; i++) {
    const [[left, low], [right, high]] = [points[i - 1], points[i]];
    if (entries <= right) return low + (Math.log(entries / left) / Math.log(right / left)) * (high - low);
  }
  return points.at(-1)[1];
}

// The mean rate of scans of tables with 1, 2 … `scans` times `step` entries beside the residents.
function meanRate(model, rate, scans, step, residents) {
  const count = Math.max(1, Math.min(model.steps, Math.round(scans)));
  let [weighted, total] = [0, 0];
  for (let i = 0; i < count; i++) {
    const size = residents + step * (((i + 0.5) * scans) / count + 0.5);
    weighted += size * rate(size);
    total += size;
  }
  return weighted / total;
}

// Milliseconds per module at the low (0) or the high (1) end of the range.
function scanCost(model, end, sections, { modules, fdes, residents }) {
  const curve = model.curves[end];
  const choose = [Math.min, Math.max][end];
  const first = residents + (fdes * (modules + 1)) / 2;
  const following = sections ? 0 : fdes * (residents + (modules * fdes + 1) / 2) - first;
  const followingRate = (entries) => rateAt(curve.following, entries);
  const firstRate = (entries) => {
    const rate = rateAt(curve.first, entries);
    return modules > 1 ? choose(rate, followingRate(entries)) : rate;
  };
  const nanoseconds =
    first * meanRate(model, firstRate, modules, fdes, residents) +
    following * meanRate(model, followingRate, modules * fdes, 1, residents) +
    model.fdeNs[end] * fdes;
  return nanoseconds / 1e6;
}

// The range of milliseconds per module unloaded.
function estimateCost(model, platform, registrations, load) {
  if (platform.scans) {
    return [
      Math.min(...registrations.map((sections) => scanCost(model, 0, sections, load))),
      Math.max(...registrations.map((sections) => scanCost(model, 1, sections, load))),
    ];
  }
  let [low, high] = [model.list[0], model.list[0] + model.list[1] * (load.modules - 1)];
  if (platform.tree) low = high = model.tree[0] + model.tree[1] * load.fdes;
  return [(low * model.instructionNs[0]) / 1e6, (high * model.instructionNs[1]) / 1e6];
}

function noteLimits(model, platform, era, macos, notes) {
  return platform.isMac && era.sections && macos.sections === "unknown" ? [model.unsureMacos] : notes;
}

function formatCount(value) {
  return value.toLocaleString("en-US", { maximumFractionDigits: 0 });
}

function formatMilliseconds(value) {
  if (value >= 9.95) return `${formatCount(value)} ms`;
  const digits = Number(value.toPrecision(2));
  return `${digits && digits < 1e-4 ? value.toFixed(5) : digits} ms`;
}

function formatRange([low, high]) {
  const [first, last] = [formatMilliseconds(low), formatMilliseconds(high)];
  return first === last ? first : `${first.replace(" ms", "")} to ${last}`;
}
