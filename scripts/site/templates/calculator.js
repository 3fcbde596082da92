// The calculation of scripts/cost/advice.py. `model` has its constants and sentences.

function advise(model, platformIndex, eraIndex, load) {
  const platform = model.platforms[platformIndex];
  const era = model.eras[eraIndex];
  const advice = era.platforms[platformIndex];
  const { gives } = advice;
  if (!advice.hasCost) {
    const { decision, notes } = advice;
    return { decision: model.decisions[decision], cost: null, basis: model.bases.NONE, gives, notes };
  }
  const cost = estimateCost(model, platform, era.sections, load);
  const decision = model.decisions[advice.decision ?? decide(model, cost)];
  return { decision, cost, basis: model.bases.ESTIMATED, gives, notes: noteLimits(model, platform, era, load) };
}

function decide(model, [low, high]) {
  if (high <= model.threshold) return "KEEP";
  return low > model.threshold ? "TURN_OFF" : "EITHER";
}

// Entries scanned per module while all modules are unloaded, last loaded first.
function countEntries(sections, { modules, fdes, residents }) {
  const inFront = residents + ((modules - 1) * fdes) / 2;
  if (sections) return inFront + fdes;
  return fdes * inFront + (fdes * (fdes - 1)) / 2 + fdes;
}

// The range of milliseconds per module unloaded.
function estimateCost(model, platform, sections, load) {
  if (platform.scans) {
    const entries = countEntries(sections, load);
    return model.entryNs.map((nanoseconds) => (entries * nanoseconds) / 1e6);
  }
  let [low, high] = [model.list[0], model.list[0] + model.list[1] * (load.modules - 1)];
  if (platform.tree) low = high = model.tree[0] + model.tree[1] * load.fdes;
  return [(low * model.instructionNs[0]) / 1e6, (high * model.instructionNs[1]) / 1e6];
}

function noteLimits(model, platform, era, load) {
  if (!platform.scans) return [];
  const notes = [];
  const table = load.residents + load.modules * load.fdes;
  if (table > model.cachedEntries) notes.push(model.uncached.replace("{entries}", formatCount(table)));
  if (platform.isMac && era.sections) {
    const older = formatRange(estimateCost(model, platform, false, load));
    notes.push(model.olderMacos.replace("{cost}", older));
  }
  return notes;
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
