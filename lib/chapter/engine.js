// The explorer: the recursion of the book, computed in the reader's browser.
//
// One file, mounted two ways: `mount(element, options)` on a page of the book, `render({model, el})` as an anywidget. Regimes go
// by the labels that lib.regimes gives them, such as "Keep(0.1, fixed)"; laws are those of lib.theory, samplers those of
// lib.worlds.gaussian and lib.worlds.discrete. Where a regime's law needs moments only, a batch is drawn as its mean and its scatter, which is
// exact in law and costs the same for every n; a regime that draws subsets again and again gets the points themselves.

// ---------------------------------------------------------------- errors and settings

export class Refused extends Error {}

function refuse(setting, value, allowed) {
  throw new Refused(`${setting}=${typeof value === "string" ? `'${value}'` : value} is not allowed: ${allowed}`);
}

const NONE = "none"; // no second regime

// What can be set in each panel: whole numbers in a range, or one of a list. `t` is the generation that is looked at.
export const SETTINGS = {
  gaussian: {
    a: { regime: true, start: "Replace" },
    b: { regime: true, none: true, start: "Accumulate" },
    estimator: { among: ["mle", "unbiased"], start: "mle" },
    n: { least: 10, most: 1e6, start: 100 },
    runs: { least: 2, most: 5000, start: 1000 },
    generations: { least: 2, most: 500, start: 200 },
    seed: { least: 0, most: 2 ** 32 - 1, start: 1 },
    t: { least: 1, most: 500, start: 200 },
  },
  words: {
    a: { regime: true, start: "Replace" },
    b: { regime: true, none: true, start: "Accumulate" },
    n: { least: 10, most: 1e6, start: 1000 },
    runs: { least: 2, most: 500, start: 20 },
    generations: { least: 2, most: 500, start: 100 },
    seed: { least: 0, most: 2 ** 32 - 1, start: 1 },
    t: { least: 1, most: 500, start: 100 },
  },
};

function checked(name, value, rule) {
  if (rule.regime) return rule.none && value === NONE ? NONE : label(parse(name, value));
  if (rule.among) {
    if (!rule.among.includes(value)) refuse(name, value, "one of " + rule.among.map((a) => `'${a}'`).join(", "));
    return value;
  }
  const number = typeof value === "string" && value.trim() === "" ? NaN : Number(value);
  if (!Number.isInteger(number) || number < rule.least || number > rule.most) {
    refuse(name, value, `a whole number from ${rule.least} to ${rule.most}`);
  }
  return number;
}

// All settings of a panel. What is left out has its default; what is wrong throws, or with `complain` is reported and replaced.
export function settings(panel, given = {}, complain = null) {
  if (!(panel in SETTINGS)) refuse("panel", panel, "one of 'gaussian', 'words'");
  const out = {};
  const answer = (name, work, instead) => {
    try {
      out[name] = work();
    } catch (error) {
      if (!(error instanceof Refused) || !complain) throw error;
      out[name] = instead();
      complain(`${error.message}. ${out[name]} is used.`);
    }
  };
  for (const [name, rule] of Object.entries(SETTINGS[panel])) {
    if (name === "t") continue;
    answer(name, () => (given[name] === undefined ? rule.start : checked(name, given[name], rule)), () => rule.start);
  }
  const last = out.generations;
  const t = () => (given.t === undefined ? last : checked("t", given.t, { least: 1, most: last }));
  answer("t", t, () => last);
  for (const name of Object.keys(given)) {
    if (name in SETTINGS[panel]) continue;
    const allowed = "one of " + Object.keys(SETTINGS[panel]).map((key) => `'${key}'`).join(", ");
    if (!complain) refuse("setting", name, allowed);
    complain(`setting='${name}' is not allowed: ${allowed}. It is ignored.`);
  }
  return out;
}

// ---------------------------------------------------------------- regimes

// What the menu says of each regime; the order is the menu's.
export const REGIMES = {
  Replace: "All old data are thrown away: n samples of the newest model.",
  ReplaceGrown: "All old data are thrown away, but the set grows: n·t samples of the newest model.",
  Accumulate: "Nothing is thrown away: the real data and every batch so far.",
  AccumulateSubsample: "Everything is kept, but a fit sees only n samples drawn from it.",
  Keep: "A share of the original real set, the rest from the newest model.",
  FreshReal: "New real data in a fixed share, the rest from the newest model.",
  RealOnly: "No synthetic data at all.",
  Mixture: "The paper's general form: newest model, previous training set and original data in fixed shares.",
};

const SHARE = "(\\d*\\.?\\d+(?:e[-+]?\\d+)?)";
const FORMS = [
  [/^(Replace|ReplaceGrown|AccumulateSubsample)$/, () => ({})],
  [/^(Accumulate)$/, () => ({ fresh: 0, kept: 1 })],
  [new RegExp(`^(Accumulate)\\(${SHARE} fresh\\)$`), (f) => ({ fresh: f, kept: 1 })],
  [new RegExp(`^(Accumulate)\\(${SHARE} kept\\)$`), (k) => ({ fresh: 0, kept: k })],
  [new RegExp(`^(Accumulate)\\(${SHARE} fresh, ${SHARE} kept\\)$`), (f, k) => ({ fresh: f, kept: k })],
  [new RegExp(`^(Keep)\\(${SHARE}\\)$`), (s) => ({ share: s, redraw: true })],
  [new RegExp(`^(Keep)\\(${SHARE}, fixed\\)$`), (s) => ({ share: s, redraw: false })],
  [new RegExp(`^(FreshReal)\\(${SHARE}\\)$`), (s) => ({ share: s })],
  [/^(RealOnly)$/, () => ({ grow: true })],
  [/^(RealOnly)\(refit\)$/, () => ({ grow: false })],
  [new RegExp(`^(Mixture)\\(${SHARE}, ${SHARE}, ${SHARE}\\)$`), (a, b, c) => ({ alpha: a, beta: b, gamma: c, fresh: false })],
  [new RegExp(`^(Mixture)\\(${SHARE}, ${SHARE}, ${SHARE}, fresh\\)$`), (a, b, c) => ({ alpha: a, beta: b, gamma: c, fresh: true })],
];
const EXAMPLES =
  "Replace, ReplaceGrown, Accumulate, Accumulate(0.1 fresh, 0.5 kept), AccumulateSubsample, Keep(0.1), Keep(0.1, fixed), " +
  "FreshReal(0.1), RealOnly, RealOnly(refit), Mixture(0.6, 0.3, 0.1), Mixture(0.6, 0.3, 0.1, fresh)";

// The regime of a label, with its parameters.
export function parse(setting, text) {
  for (const [form, parameters] of FORMS) {
    const found = form.exec(text);
    if (!found) continue;
    const regime = { name: found[1], ...parameters(...found.slice(2).map(Number)) };
    for (const share of ["share", "fresh", "kept", "alpha", "beta", "gamma"]) {
      if (typeof regime[share] === "number" && regime[share] > 1) refuse(share, regime[share], "a share between 0 and 1");
    }
    const total = regime.alpha + regime.beta + regime.gamma;
    if (regime.name === "Mixture" && Math.abs(total - 1) > 1e-5) {
      refuse("alpha + beta + gamma", total, "weights that sum to 1");
    }
    return regime;
  }
  return refuse(setting, text, `a regime, such as ${EXAMPLES}`);
}

const short = (x) => String(Number(x.toPrecision(6)));

// The label of a regime, as lib.regimes writes it.
export function label(r) {
  if (r.name === "Accumulate") {
    const said = [...(r.fresh > 0 ? [`${short(r.fresh)} fresh`] : []), ...(r.kept < 1 ? [`${short(r.kept)} kept`] : [])];
    return said.length ? `Accumulate(${said.join(", ")})` : "Accumulate";
  }
  if (r.name === "Keep") return `Keep(${short(r.share)}${r.redraw ? "" : ", fixed"})`;
  if (r.name === "FreshReal") return `FreshReal(${short(r.share)})`;
  if (r.name === "RealOnly") return r.grow ? "RealOnly" : "RealOnly(refit)";
  if (r.name === "Mixture") {
    return `Mixture(${short(r.alpha)}, ${short(r.beta)}, ${short(r.gamma)}${r.fresh ? ", fresh" : ""})`;
  }
  return r.name;
}

// A share of n as a count, halves rounded up.
const portion = (share, n) => Math.min(n, Math.floor(share * n + 0.5));

// What a regime asks for at each generation of constant set size n, in counts. `newest` and `real` are functions of t; `original`
// and `previous` are samples redrawn from the first real set and from the training set before; `fixed` is kept from the first
// set throughout. A share that rounds to nothing, or to everything, is refused: it is another regime than the one asked for.
export function plan(regime, n) {
  for (const name of ["share", "fresh", "kept", "alpha", "beta", "gamma"]) {
    const share = regime[name];
    if (typeof share === "number" && share > 0 && share < 1 && [0, n].includes(portion(share, n))) {
      refuse(name, share, `a share that is at least one sample and leaves at least one out of n=${n}`);
    }
  }
  const none = () => 0;
  const base = { newest: () => n, real: none, original: 0, previous: 0, fixed: 0, union: -1, subsample: false };
  switch (regime.name) {
    case "Replace":
      return base;
    case "ReplaceGrown":
      return { ...base, newest: (t) => n * t };
    case "Accumulate": {
      const fresh = portion(regime.fresh, n);
      return { ...base, newest: () => n - fresh, real: () => fresh, union: portion(regime.kept, n) };
    }
    case "AccumulateSubsample":
      return { ...base, subsample: true };
    case "Keep": {
      const kept = portion(regime.share, n);
      if (kept === n) return { ...base, newest: none, union: n };
      return { ...base, newest: () => n - kept, ...(regime.redraw ? { original: kept } : { fixed: kept }) };
    }
    case "FreshReal": {
      const fresh = portion(regime.share, n);
      return { ...base, newest: () => n - fresh, real: () => fresh };
    }
    case "RealOnly":
      return { ...base, newest: none, real: regime.grow ? () => n : none, union: n };
    default: {
      const kept = portion(regime.gamma, n);
      const copied = Math.min(portion(regime.beta, n), n - kept);
      const rest = n - copied - kept;
      if (kept === n && !regime.fresh) return { ...base, newest: none, union: n };
      return {
        ...base,
        newest: () => rest,
        previous: copied,
        ...(regime.fresh ? { real: () => kept } : { original: kept }),
      };
    }
  }
}

const needsPoints = (p) => p.subsample || p.original > 0 || p.previous > 0;

// ---------------------------------------------------------------- exact laws (lib.theory)

// E[S_t], E[(μ_t − μ₀)²] and, where it is known in closed form, exp E[ln S_t], for t = 1 … generations, as lib.theory.gaussian has
// them. `variance` and `error` are null where no closed form is known.
export function law(regime, n, generations, estimator) {
  const unbiased = estimator === "unbiased";
  plan(regime, n); // refuses what cannot be
  switch (regime.name) {
    case "Replace":
      return independentFits(n, generations, unbiased, () => n);
    case "ReplaceGrown":
      return independentFits(n, generations, unbiased, (t) => n * t);
    case "Accumulate":
      return regime.fresh > 0 || regime.kept < 1
        ? accumulateWithReal(regime, n, generations, unbiased)
        : accumulate(n, generations, unbiased);
    case "AccumulateSubsample":
      return accumulateSubsample(n, generations, unbiased);
    case "Keep":
      return keep(regime, n, generations, unbiased);
    case "FreshReal": {
      const [variance, error] = withReal(portion(regime.share, n), n, generations, unbiased, 1 / n, 1, (r) => 1 / r);
      return { variance, error, typical: null };
    }
    case "RealOnly": {
      const size = (t) => (regime.grow ? n * t : n);
      const series = (f) => Float64Array.from({ length: generations }, (_, i) => f(size(i + 1)));
      return {
        variance: series((N) => (unbiased ? 1 : 1 - 1 / N)),
        error: series((N) => 1 / N),
        typical: series((N) => Math.exp(logDrift(N, unbiased))),
      };
    }
    default:
      if (portion(regime.beta, n) === 0) {
        const same = { name: regime.fresh ? "FreshReal" : "Keep", share: regime.gamma, redraw: true };
        return { ...law(same, n, generations, estimator), typical: null };
      }
      if (regime.fresh && regime.gamma > 0) return { variance: null, error: null, typical: null };
      return mixture(regime, n, generations, unbiased);
  }
}

function independentFits(n, generations, unbiased, size) {
  const [variance, error, typical] = [0, 1, 2].map(() => new Float64Array(generations));
  let [v, e, logarithm] = [1, 0, 0];
  for (let t = 1; t <= generations; t++) {
    const N = size(t);
    e += v / N;
    if (!unbiased) v *= 1 - 1 / N;
    logarithm += logDrift(N, unbiased);
    [variance[t - 1], error[t - 1], typical[t - 1]] = [v, e, Math.exp(logarithm)];
  }
  return { variance, error, typical };
}

function accumulate(n, generations, unbiased) {
  const [variance, error] = [new Float64Array(generations), new Float64Array(generations)];
  let [v, e] = [1, 0];
  for (let t = 1; t <= generations; t++) {
    e += v / (n * t * t);
    if (!unbiased) v *= 1 - 1 / (n * t * t);
    else if (t > 1) v *= 1 - 1 / t / (n * t - 1);
    [variance[t - 1], error[t - 1]] = [v, e];
  }
  return { variance, error, typical: null };
}

function accumulateWithReal(regime, n, generations, unbiased) {
  const [variance, error] = [new Float64Array(generations), new Float64Array(generations)];
  const a = portion(regime.fresh, n) / n;
  const kept = portion(regime.kept, n);
  let [v, e, total, moment] = [unbiased ? 1 : 1 - 1 / n, 1 / n, kept, 1];
  let [pooled, cross] = [kept ? 1 / kept : 0, 1 / n];
  [variance[0], error[0]] = [v, e];
  for (let t = 2; t <= generations; t++) {
    const w = n / (total + n);
    moment = (1 - w) * moment + w * ((1 - a) * (v + e) + a);
    const batch = (1 - a) ** 2 * e + ((1 - a) * v + a) / n;
    e = (1 - w) ** 2 * pooled + 2 * (1 - w) * w * (1 - a) * cross + w * w * batch;
    total += n;
    pooled = cross = e;
    v = (moment - e) * (unbiased ? total / (total - 1) : 1);
    [variance[t - 1], error[t - 1]] = [v, e];
  }
  return { variance, error, typical: null };
}

function accumulateSubsample(n, generations, unbiased) {
  const [variance, error] = [new Float64Array(generations), new Float64Array(generations)];
  const c = unbiased ? 1 : 1 - 1 / n;
  let [pooled, centre] = [1, 1 / n];
  for (let t = 1; t <= generations; t++) {
    if (t > 1) {
      centre += ((c + 1 - 1 / (t - 1)) * pooled) / (n * t * t);
      pooled *= 1 + (unbiased ? 1 - 3 / t : -(3 - 1 / n) / t) / (t * n - 1);
    }
    [variance[t - 1], error[t - 1]] = [c * pooled, centre + ((1 - 1 / t) * pooled) / n];
  }
  return { variance, error, typical: null };
}

// r real samples beside n − r synthetic ones in each fit: variance, and squared distance of the mean from a centre.
function withReal(r, n, generations, unbiased, start, keptVariance, keptSpread) {
  const [variance, distance] = [new Float64Array(generations), new Float64Array(generations)];
  const [s, a, b] = [n - r, r / n, unbiased ? n / (n - 1) : 1];
  let [v, d] = [unbiased ? 1 : 1 - 1 / n, start];
  [variance[0], distance[0]] = [v, d];
  for (let t = 2; t <= generations; t++) {
    const now = (s ? (1 - a) ** 2 * (d + v / s) : 0) + (r ? a * a * keptSpread(r) : 0);
    v = b * (a * keptVariance + (1 - a) * (v + d) - now);
    d = now;
    [variance[t - 1], distance[t - 1]] = [v, d];
  }
  return [variance, distance];
}

function keep(regime, n, generations, unbiased) {
  const r = portion(regime.share, n);
  if (r === 0) return independentFits(n, generations, unbiased, () => n);
  if (regime.redraw) {
    const [variance, d] = withReal(r, n, generations, unbiased, 0, 1 - 1 / n, (k) => 1 / k - 1 / n);
    return { variance, error: d.map((x) => 1 / n + x), typical: null };
  }
  const gap = 1 / r - 1 / n;
  const [variance, d] = withReal(r, n, generations, unbiased, gap, 1 - 1 / r, () => 0);
  return { variance, error: d.map((x, i) => 1 / r + x - 2 * (1 - r / n) ** i * gap), typical: null };
}

function mixture(regime, n, generations, unbiased) {
  const { newest, previous, original } = plan(regime, n);
  const [alpha, beta, gamma] = [newest(2) / n, previous / n, original / n];
  const [variance, error] = [new Float64Array(generations), new Float64Array(generations)];
  const scale = unbiased ? n / (n - 1) : 1;
  let [v, d] = [1 - 1 / n, 0]; // the maximum likelihood variance of the set, and its mean's distance from the original mean
  for (let t = 1; t <= generations; t++) {
    [variance[t - 1], error[t - 1]] = [v * scale, 1 / n + d];
    const u = (n * v) / (n - 1);
    const w = unbiased ? u : v;
    const now = (1 - gamma) ** 2 * d + (gamma * (1 - gamma)) / n + (beta * (1 - beta) * u) / n + (alpha * w) / n;
    v = gamma * (1 - 1 / n) + (1 - gamma) * d + beta * v + alpha * w - now;
    d = now;
  }
  return { variance, error, typical: null };
}

// Expected change of ln S in one fit to N samples of the model before.
function logDrift(N, unbiased) {
  return digammaMinusLog((N - 1) / 2) + (unbiased ? 0 : Math.log1p(-1 / N));
}

// ψ(x) − ln x, by recurrence up to where the asymptotic series is exact to the last digits.
function digammaMinusLog(x) {
  let [below, y] = [0, x];
  while (y < 20) below += 1 / y++;
  const q = 1 / (y * y);
  const series = -0.5 / y - q * (1 / 12 - q * (1 / 120 - q * (1 / 252 - q * (1 / 240 - q / 132))));
  return series - below + Math.log1p((y - x) / x);
}

// Expected number of words that a model can still produce, t = 1 … generations, as lib.theory.discrete has it; null where no closed
// form is used. `words` is the table of frequencies.
export function supportLaw(regime, words, n, generations) {
  const p = plan(regime, n);
  if (regime.name === "RealOnly" && regime.grow) {
    return Float64Array.from({ length: generations }, (_, i) => seen(words, n * (i + 1)));
  }
  const everything = p.union === n && p.real(2) === 0; // the first sample and what it implies, for ever
  if (everything) return new Float64Array(generations).fill(seen(words, n));
  const replaced = p.newest(2) === n && p.newest(3) === n && p.union < 0 && !p.subsample;
  return replaced ? replaceSupport(words, n, generations) : null;
}

// Expected number of distinct words among `size` real ones.
function seen(words, size) {
  let sum = 0;
  for (const [count, states] of words.classes) sum -= states * Math.expm1(size * Math.log1p(-count / words.total));
  return sum;
}

const EXACT_BELOW = 1000; // ancestors: the chain is exact up to so many, and a normal law with exact moments above

// A state is lost with probability E[(1 − q)^A], with A the number of ancestors that the newest samples have among the real ones.
function replaceSupport(words, n, generations) {
  const out = new Float64Array(generations);
  const rates = words.classes.map(([count, states]) => [-Math.log1p(-count / words.total), states]);
  let ancestors = ancestorsOf(n, 0);
  for (let t = 0; t < generations; t++) {
    if (t) ancestors = thrownInto(ancestors, n);
    for (const [rate, states] of rates) out[t] += states * (1 - lostWith(ancestors, rate));
  }
  return out;
}

function lostWith({ mean, variance, chances, first, last }, rate) {
  if (!chances) return rate * mean < 500 ? Math.exp(-rate * (mean - (Math.min(rate, 1) * variance) / 2)) : 0;
  const step = Math.exp(-rate);
  let power = Math.exp(-rate * first);
  let sum = 0;
  for (let a = first; a <= last && power > 0; a++) {
    sum += power * chances[a];
    power *= step;
  }
  return sum;
}

function within(mean, variance, chances) {
  let [first, last] = [0, chances.length - 1];
  while (first < last && chances[first] <= 1e-18) first++;
  while (last > first && chances[last] <= 1e-18) last--;
  return { mean, variance, chances, first, last };
}

function ancestorsOf(mean, variance) {
  if (mean > EXACT_BELOW) return { mean, variance, chances: null };
  const most = Math.ceil(mean + 9 * Math.sqrt(variance));
  const chances = new Float64Array(most + 1);
  if (variance < 1e-6) chances[Math.round(mean)] = 1;
  else {
    const deviation = Math.sqrt(variance);
    let sum = 0;
    for (let a = 0; a <= most; a++) {
      // Both edges on the side where the tail is small, so that their difference keeps its digits.
      const [low, high] = [(a - 0.5 - mean) / deviation, (a + 0.5 - mean) / deviation];
      chances[a] = low > 0 ? normalTail(low) - normalTail(high) : normalTail(-high) - normalTail(-low);
      sum += chances[a];
    }
    for (let a = 0; a <= most; a++) chances[a] /= sum;
  }
  return within(mean, variance, chances);
}

// One fit further back: as many ancestors as boxes are occupied.
function thrownInto({ mean, variance, chances, first, last }, boxes) {
  if (chances) {
    const table = occupancy(chances.length - 1, boxes);
    const width = chances.length;
    const out = new Float64Array(width);
    for (let i = first; i <= last; i++) {
      const [chance, row] = [chances[i], i * width];
      for (let j = 0; j <= i; j++) out[j] += chance * table[row + j];
    }
    return within(mean, variance, out);
  }
  const x = mean / boxes;
  const logEmpty = mean * Math.log1p(-1 / boxes);
  const slope = Math.exp(logEmpty);
  const now = -boxes * Math.expm1(logEmpty) - ((slope / boxes) * variance) / 2;
  const spread = boxes * Math.exp(-x) * -(Math.expm1(-x) + x * Math.exp(-x));
  return ancestorsOf(now, spread + slope * slope * variance);
}

let remembered = { key: "", table: null };

// P(j boxes occupied by i balls thrown into `boxes` boxes), row i, column j.
function occupancy(balls, boxes) {
  const key = `${balls} ${boxes}`;
  if (remembered.key === key) return remembered.table;
  const width = balls + 1;
  const table = new Float64Array(width * width);
  table[0] = 1;
  for (let i = 0; i < balls; i++) {
    const [row, next] = [i * width, (i + 1) * width];
    for (let j = 0; j <= i; j++) {
      table[next + j] += table[row + j] * Math.min(j / boxes, 1);
      table[next + j + 1] += table[row + j] * Math.max(1 - j / boxes, 0);
    }
  }
  remembered = { key, table };
  return table;
}

// P(Z > z) of a standard normal, z ≥ −10: a power series near 0, a continued fraction further out.
function normalTail(z) {
  if (z < 0) return 1 - normalTail(-z);
  const density = Math.exp(-0.5 * z * z) / Math.sqrt(2 * Math.PI);
  if (z < 3) {
    let [term, sum] = [z, z];
    for (let k = 3; term > 1e-18 * sum; k += 2) sum += term *= (z * z) / k;
    return 0.5 - density * sum;
  }
  let fraction = z;
  for (let k = 60; k > 0; k--) fraction = z + k / fraction;
  return density / fraction;
}

// ---------------------------------------------------------------- random numbers

const word = new Int32Array(4);

// sfc32 (Chris Doty-Humphrey's small fast chaotic generator): 96 bits of state and a counter.
function bits() {
  const out = (((word[0] + word[1]) | 0) + word[3]) | 0;
  word[3] = (word[3] + 1) | 0;
  word[0] = word[1] ^ (word[1] >>> 9);
  word[1] = (word[2] + (word[2] << 3)) | 0;
  word[2] = (((word[2] << 21) | (word[2] >>> 11)) + out) | 0;
  return out;
}

// What a stream is for. Each purpose has streams of its own, one for each time it is asked for in a run, and no stream depends on how
// much was drawn from another: where two regimes ask for the same draw, they get the same one.
const [REAL, SAMPLE, ROWS, SUBSET, COPIED, REAL_ROWS] = [0, 1, 2, 3, 4, 5];
const keys = new Int32Array(24);

// Begin a run. Seed, run and purpose are the state of a generator of keys; 15 rounds, as the author of sfc32 advises, take
// neighbours apart. More runs or generations change no other number.
function beginRun(seed, run) {
  for (let purpose = 0; purpose < 6; purpose++) {
    word[0] = seed;
    word[1] = run;
    word[2] = purpose;
    word[3] = 1;
    for (let i = 0; i < 15; i++) bits();
    keys.set(word, 4 * purpose);
  }
}

// Go over to the next stream of a purpose: its state is the next three numbers of the generator of keys.
function stream(purpose) {
  const at = 4 * purpose;
  for (let i = 0; i < 4; i++) word[i] = keys[at + i];
  const a = bits();
  const b = bits();
  const c = bits();
  for (let i = 0; i < 4; i++) keys[at + i] = word[i];
  word[0] = a;
  word[1] = b;
  word[2] = c;
  word[3] = 1;
}

// In [0, 1), 53 bits.
function uniform() {
  const high = bits() >>> 5;
  return (high * 67108864 + (bits() >>> 6)) / 9007199254740992;
}

const below = (n) => Math.floor(uniform() * n);

// The ziggurat of Marsaglia and Tsang (2000) with 128 layers, in the form of Doornik (2005), in which index and abscissa share no bits.
const ZIGGURAT_TAIL = 3.442619855899;
const LAYER = new Float64Array(129);
const RATIO = new Float64Array(128);
{
  const area = 9.91256303526217e-3;
  let density = Math.exp(-0.5 * ZIGGURAT_TAIL * ZIGGURAT_TAIL);
  LAYER[0] = area / density;
  LAYER[1] = ZIGGURAT_TAIL;
  for (let i = 2; i < 128; i++) {
    LAYER[i] = Math.sqrt(-2 * Math.log(area / LAYER[i - 1] + density));
    density = Math.exp(-0.5 * LAYER[i] * LAYER[i]);
  }
  for (let i = 0; i < 128; i++) RATIO[i] = LAYER[i + 1] / LAYER[i];
}

function normal() {
  const high = bits();
  const low = bits();
  const layer = ((high & 31) << 2) | (low & 3);
  const u = ((high >>> 5) * 67108864 + (low >>> 6)) / 4503599627370496 - 1;
  return Math.abs(u) < RATIO[layer] ? u * LAYER[layer] : normalAside(layer, u);
}

// The few draws that fall beside the body of their layer.
function normalAside(layer, u) {
  if (layer === 0) return u < 0 ? -normalBeyond() : normalBeyond();
  const x = u * LAYER[layer];
  const outer = Math.exp(-0.5 * (LAYER[layer] * LAYER[layer] - x * x));
  const inner = Math.exp(-0.5 * (LAYER[layer + 1] * LAYER[layer + 1] - x * x));
  return inner + uniform() * (outer - inner) < 1 ? x : normal();
}

function normalBeyond() {
  for (;;) {
    const x = -Math.log(1 - uniform()) / ZIGGURAT_TAIL;
    if (-2 * Math.log(1 - uniform()) > x * x) return ZIGGURAT_TAIL + x;
  }
}

const shape = new Float64Array(3); // degrees of freedom, d and c of the draw before

// Chi-square with k ≥ 0 degrees of freedom, twice a Gamma(k/2) by Marsaglia and Tsang (2000).
function chiSquare(k) {
  if (k < 2) return k < 1 ? 0 : normal() ** 2;
  if (k !== shape[0]) {
    shape[0] = k;
    shape[1] = k / 2 - 1 / 3;
    shape[2] = 1 / Math.sqrt(9 * shape[1]);
  }
  const d = shape[1];
  const c = shape[2];
  for (;;) {
    const x = normal();
    const root = 1 + c * x;
    if (root <= 0) continue;
    const v = root * root * root;
    const u = 1 - uniform();
    const square = x * x;
    if (u < 1 - 0.0331 * square * square || Math.log(u) < 0.5 * square + d * (1 - v + Math.log(v))) return 2 * d * v;
  }
}

// The remainder of Stirling's formula for ln k!: exact where k is small.
const STIRLING = Float64Array.from({ length: 10 }, (_, k) => {
  let factorial = 1;
  for (let i = 2; i <= k; i++) factorial *= i;
  return Math.log(factorial) - (k + 0.5) * Math.log(k + 1) + k + 1 - 0.5 * Math.log(2 * Math.PI);
});

function stirling(k) {
  if (k < 10) return STIRLING[k];
  const square = (k + 1) * (k + 1);
  return (1 / 12 - (1 / 360 - 1 / 1260 / square) / square) / (k + 1);
}

// Successes in n trials of probability p: by inversion where few are expected, else by transformed rejection (Hörmann 1993, BTRS).
function binomial(n, p) {
  if (p > 0.5) return n - binomial(n, 1 - p);
  const q = 1 - p;
  const odds = p / q;
  if (n * p < 10) {
    let chance = Math.exp(n * Math.log1p(-p));
    let u = uniform();
    let k = 0;
    while (u > chance && k < n) {
      u -= chance;
      k++;
      chance *= ((n - k + 1) / k) * odds;
    }
    return k;
  }
  const deviation = Math.sqrt(n * p * q);
  const b = 1.15 + 2.53 * deviation;
  const a = -0.0873 + 0.0248 * b + 0.01 * p;
  const c = n * p + 0.5;
  const inner = 0.92 - 4.2 / b;
  const alpha = (2.83 + 5.1 / b) * deviation;
  const mode = Math.floor((n + 1) * p);
  for (;;) {
    const u = uniform() - 0.5;
    const v = uniform();
    const edge = 0.5 - Math.abs(u);
    const k = Math.floor(((2 * a) / edge + b) * u + c);
    if (edge >= 0.07 && v <= inner) return k;
    if (k < 0 || k > n) continue;
    const bound =
      (mode + 0.5) * Math.log((mode + 1) / (odds * (n - mode + 1))) +
      (n + 1) * Math.log((n - mode + 1) / (n - k + 1)) +
      (k + 0.5) * Math.log((odds * (n - k + 1)) / (k + 1)) +
      (stirling(mode) + stirling(n - mode) - stirling(k) - stirling(n - k));
    if (Math.log((v * alpha) / (a / (edge * edge) + b)) <= bound) return k;
  }
}

// For tests of the samplers themselves.
export function draws(kind, size, seed, ...given) {
  beginRun(seed, 0);
  stream(SAMPLE);
  const one = { uniform, normal, chiSquare, binomial }[kind];
  return Float64Array.from({ length: size }, () => one(...given));
}

// ---------------------------------------------------------------- simulation

// Draws of single points or words that one regime may ask for; more would keep the reader waiting.
export const MOST_POINTS = 2e7;

// Points or words that a regime draws in one run, or as many as would take the same time.
function pointsPerRun(panel, p, { n, generations }, words) {
  if (needsPoints(p)) {
    if (panel === "words") return generations * (p.subsample ? 3 * n : 2 * n);
    return n + generations * (p.subsample ? 2 * n : Math.min(p.original, n - p.original) + (p.previous ? 2 * n : 0));
  }
  if (panel === "gaussian") return 0;
  // Counts take as long as there are words that can be there: at most those that all real samples together will have shown.
  const states = text(words).bag.length;
  const fresh = p.real(2);
  const there = seen(words, n + fresh * generations);
  return n + generations * ((p.newest(2) ? there : 0) + (fresh > 2 * states ? states : fresh));
}

// Fewer runs where a regime needs points and n is large. Below two there is no band, and the regime is refused.
function affordable(panel, p, given, words) {
  const { n, runs } = given;
  const each = pointsPerRun(panel, p, given, words);
  const most = each ? Math.floor(MOST_POINTS / each) : runs;
  if (most < 2) {
    const instead = "fewer samples or generations: this regime draws each one by itself";
    refuse("n", n, `${instead}, ${each.toExponential(1)} in a run, and at most ${MOST_POINTS / 2} are drawn here`);
  }
  return Math.min(runs, most);
}

// A simulation that can be done in slices: `advance(until)` works until that time on the clock and says whether it is done.
// `result` holds a value for each generation and run, generation by generation.
function job(panel, given, regime, words) {
  const p = plan(regime, given.n);
  const runs = affordable(panel, p, given, words);
  const result =
    panel === "gaussian" ? gaussianResult(given.generations, runs) : wordsResult(given.generations, runs, words);
  const [byMoments, byPoints] = panel === "gaussian" ? [momentsRun, pointsRun] : [countsRun, tokensRun];
  const one = (needsPoints(p) ? byPoints : byMoments)(p, given, words);
  // A few runs at a time are written to lines of their own: one by one they would touch a page of memory for every number.
  const names = PANELS[panel].series;
  const { generations } = given;
  const lines = Array.from({ length: TOGETHER }, () =>
    Object.fromEntries(names.map((name) => [name, new Float64Array(generations)])),
  );
  let done = 0;
  return {
    result,
    advance(until = Infinity) {
      while (done < runs) {
        const several = Math.min(TOGETHER, runs - done);
        for (let k = 0; k < several; k++) one(done + k, lines[k], result);
        for (const name of names) copyLines(lines, several, name, result[name], done, runs);
        done += several;
        if (performance.now() > until) break;
      }
      return done === runs;
    },
  };
}

const TOGETHER = 8;

function copyLines(lines, several, name, into, first, runs) {
  const from = lines.map((line) => line[name]);
  for (let t = 0, at = first; t < from[0].length; t++, at += runs) {
    for (let k = 0; k < several; k++) into[at + k] = from[k][t];
  }
}

// All runs of one or two regimes. Options are the settings of the panel; `regimes`, a list of labels, may stand for a and b. For
// words, `words` is the table of frequencies. What is wrong throws. Returned: the settings, and for each regime its label, its
// number of runs, its laws and its results (Float64Array, generations × runs).
export function simulate(options) {
  const { panel = "gaussian", regimes, words = null, ...rest } = options;
  const given = settings(panel, regimes ? { a: regimes[0], b: regimes[1] ?? NONE, ...rest } : rest);
  if (panel === "words" && !words) refuse("words", words, "a table of frequencies");
  const names = [given.a, given.b].filter((name) => name !== NONE);
  const results = names.map((name) => {
    const regime = parse("regime", name);
    const work = job(panel, given, regime, words);
    work.advance();
    return { regime: name, law: laws(panel, given, regime, words), ...work.result };
  });
  return { settings: given, results };
}

function laws(panel, given, regime, words) {
  const exact = law(regime, given.n, given.generations, panel === "words" ? "mle" : given.estimator);
  // Σp(1 − p) is the variance, under maximum likelihood, of the indicators of the words: it obeys the same law.
  return panel === "words"
    ? { diversity: exact.variance, support: supportLaw(regime, words, given.n, given.generations) }
    : exact;
}

// ---- the Gaussian. A set is its size, mean and scatter (the sum of squares about the mean).

const gaussianResult = (generations, runs) => ({
  runs,
  variance: new Float64Array(generations * runs),
  mean: new Float64Array(generations * runs),
});

const set = new Float64Array(3);
const union = new Float64Array(3);

function begin(into) {
  into[0] = into[1] = into[2] = 0;
}

// Merge in a batch by its size, mean and scatter (Chan, Golub and LeVeque 1983).
function add(into, size, mean, scatter) {
  const w = size / (into[0] + size);
  const gap = mean - into[1];
  into[2] += scatter + into[0] * w * gap * gap;
  into[1] += w * gap;
  into[0] += size;
}

// Merge in `size` samples of N(mean, variance), drawn as their mean and scatter.
function addDrawn(into, size, mean, variance) {
  const shift = Math.sqrt(variance / size) * normal();
  add(into, size, mean + shift, variance * chiSquare(size - 1));
}

// The first real set as its mean and scatter: the same in every regime, drawn into `set`.
function firstSet(seed, run, n) {
  beginRun(seed, run);
  stream(REAL);
  begin(set);
  addDrawn(set, n, 0, 1);
}

// Merge in k of the samples of `set`, from their law given its moments (Basu's theorem, as lib.pool.Moments.take).
function addSubset(into, from, k) {
  const [n, mean, scatter] = from;
  if (k === n) return add(into, n, mean, scatter);
  const inside = chiSquare(k - 1);
  const outside = chiSquare(n - k - 1);
  const z = normal();
  const unit = scatter / (inside + outside + z * z);
  add(into, k, mean + ((n - k) / n) * z * Math.sqrt((unit * n) / (k * (n - k))), inside * unit);
}

// One run of a regime for which moments are enough.
function momentsRun(p, { n, generations, seed, estimator }) {
  const less = estimator === "unbiased" ? 1 : 0;
  const kept = p.fixed || (p.union > 0 ? p.union : 0);
  const accumulates = p.union >= 0;
  const keptSet = new Float64Array(3);
  return (run, { variance, mean }) => {
    firstSet(seed, run, n);
    let m = set[1];
    let v = set[2] / (n - less);
    mean[0] = m;
    variance[0] = v;
    begin(keptSet);
    if (kept) {
      stream(SUBSET);
      addSubset(keptSet, set, kept);
    }
    if (accumulates) union.set(keptSet);
    const into = accumulates ? union : set;
    for (let t = 2; t <= generations; t++) {
      if (!accumulates) set.set(keptSet);
      const newest = p.newest(t);
      const real = p.real(t);
      if (newest) {
        stream(SAMPLE);
        addDrawn(into, newest, m, v);
      }
      if (real) {
        stream(REAL);
        addDrawn(into, real, 0, 1);
      }
      m = into[1];
      v = into[2] / (into[0] - less);
      mean[t - 1] = m;
      variance[t - 1] = v;
    }
  };
}

// Fill rows from `start` to `end` with points of the given mean and scatter: standardised normal points do not depend on their
// mean and scatter (Basu), so points drawn after their moments have the law of points.
function fillRows(rows, start, end, mean, scatter) {
  const size = end - start;
  if (size === 1) {
    rows[start] = mean;
    return;
  }
  let sum = 0;
  for (let i = start; i < end; i++) sum += rows[i] = normal();
  const centre = sum / size;
  let squares = 0;
  for (let i = start; i < end; i++) squares += (rows[i] - centre) ** 2;
  const scale = Math.sqrt(scatter / squares);
  for (let i = start; i < end; i++) rows[i] = mean + scale * (rows[i] - centre);
}

// Bring k of the first `size` rows, drawn without replacement, to the front. What is in a set does not depend on its order.
function bringForward(rows, size, k) {
  for (let i = 0; i < k; i++) {
    const j = i + below(size - i);
    const other = rows[j];
    rows[j] = rows[i];
    rows[i] = other;
  }
}

const moments = new Float64Array(3);

function momentsOf(rows, start, end) {
  let sum = 0;
  for (let i = start; i < end; i++) sum += rows[i];
  const mean = sum / (end - start);
  let squares = 0;
  for (let i = start; i < end; i++) squares += (rows[i] - mean) ** 2;
  moments[0] = end - start;
  moments[1] = mean;
  moments[2] = squares;
}

// One run of a regime that draws subsets again and again, so that the points themselves are needed.
function pointsRun(p, { n, generations, seed, estimator }) {
  const less = estimator === "unbiased" ? 1 : 0;
  const original = new Float64Array(n);
  const pool = p.subsample ? new Float64Array(n * generations) : null;
  let previous = p.previous ? new Float64Array(n) : null;
  let next = p.previous ? new Float64Array(n) : null;
  const start = (run, { variance, mean }) => {
    firstSet(seed, run, n);
    mean[0] = set[1];
    variance[0] = set[2] / (n - less);
    stream(ROWS);
    fillRows(original, 0, n, set[1], set[2]);
  };

  if (p.subsample) {
    return (run, line) => {
      start(run, line);
      pool.set(original);
      const { variance, mean } = line;
      let m = mean[0];
      let v = variance[0];
      for (let t = 2; t <= generations; t++) {
        stream(SAMPLE);
        begin(set);
        addDrawn(set, n, m, v);
        stream(ROWS);
        fillRows(pool, n * (t - 1), n * t, set[1], set[2]);
        stream(SUBSET);
        bringForward(pool, n * t, n);
        momentsOf(pool, 0, n);
        m = moments[1];
        v = moments[2] / (n - less);
        mean[t - 1] = m;
        variance[t - 1] = v;
      }
    };
  }

  return (run, line) => {
    start(run, line);
    const { variance, mean } = line;
    let m = mean[0];
    let v = variance[0];
    // Rows of the previous set are held as distances from the newest mean: they keep their digits when the variance is tiny.
    if (previous) for (let i = 0; i < n; i++) previous[i] = original[i] - m;
    momentsOf(original, 0, n);
    const whole = [n, moments[1], moments[2]];
    for (let t = 2; t <= generations; t++) {
      begin(set); // as distances from m
      let filled = 0;
      if (p.original) {
        stream(SUBSET);
        takeOriginal(original, n, p.original, whole, previous !== null);
        if (previous) for (let i = 0; i < p.original; i++) next[filled++] = original[i] - m;
        add(set, p.original, moments[1] - m, moments[2]);
      }
      if (p.previous) {
        stream(COPIED);
        bringForward(previous, n, p.previous);
        momentsOf(previous, 0, p.previous);
        add(set, p.previous, moments[1], moments[2]);
        for (let i = 0; i < p.previous; i++) next[filled++] = previous[i];
      }
      for (const [purpose, size, at, spread] of [
        [REAL, p.real(t), -m, 1],
        [SAMPLE, p.newest(t), 0, v],
      ]) {
        if (!size) continue;
        stream(purpose);
        begin(moments);
        addDrawn(moments, size, at, spread);
        add(set, size, moments[1], moments[2]);
        if (previous) {
          stream(purpose === REAL ? REAL_ROWS : ROWS);
          fillRows(next, filled, filled + size, moments[1], moments[2]);
          filled += size;
        }
      }
      m += set[1];
      v = set[2] / (n - less);
      mean[t - 1] = m;
      variance[t - 1] = v;
      if (previous) {
        for (let i = 0; i < n; i++) next[i] -= set[1];
        [previous, next] = [next, previous];
      }
    }
  };
}

// The moments of k of the original points, into `moments`. Where the rows are not wanted, the smaller part is drawn: what is left
// out says as much as what is taken.
function takeOriginal(original, n, k, whole, wantRows) {
  if (wantRows || 2 * k <= n) {
    bringForward(original, n, k);
    momentsOf(original, 0, k);
    return;
  }
  bringForward(original, n, n - k);
  momentsOf(original, 0, n - k);
  const out = n - k;
  const gap = (moments[1] - whole[1]) * (n / k); // from the mean of the rest to that of what is left out
  moments[2] = Math.max(0, whole[2] - moments[2] - ((out * k) / n) * gap * gap);
  moments[1] = (n * whole[1] - out * moments[1]) / k;
  moments[0] = k;
}

// ---- words. A model says each word as often as its training set does.

const wordsResult = (generations, runs, words) => ({
  runs,
  support: new Float64Array(generations * runs),
  diversity: new Float64Array(generations * runs),
  // Whether each of the words that are shown is still there, in the first run, generation by generation.
  present: new Uint8Array(generations * words.shown.length),
});

// Words by their rank and how often each is there; `list` names those that are, `squares` is the sum of the squared counts.
class Bag {
  constructor(states) {
    this.counts = new Float64Array(states);
    this.list = new Int32Array(states);
    this.length = this.size = this.squares = 0;
  }

  put(rank, k) {
    const had = this.counts[rank];
    if (had === 0) this.list[this.length++] = rank;
    this.counts[rank] = had + k;
    this.squares += k * (2 * had + k);
    this.size += k;
  }

  clear() {
    for (let i = 0; i < this.length; i++) this.counts[this.list[i]] = 0;
    this.length = this.size = this.squares = 0;
  }

  pour(into) {
    for (let i = 0; i < this.length; i++) into.put(this.list[i], this.counts[this.list[i]]);
  }

  // Draw `size` words with replacement: a multinomial, as one binomial after the other.
  draw(size, into) {
    let left = size;
    let mass = this.size;
    for (let i = 0; i < this.length && left > 0; i++) {
      const had = this.counts[this.list[i]];
      const k = had === mass ? left : binomial(left, had / mass);
      mass -= had;
      left -= k;
      if (k) into.put(this.list[i], k);
    }
  }
}

// Of a table: every word of the text by its rank, one after the other, and the same as a bag. Kept beside the table, which belongs
// to whoever gave it: a notebook saves it as part of the widget's state, and would save 3 MB more with every word in it.
const texts = new WeakMap();

function text(words) {
  if (!texts.has(words)) {
    const bag = new Bag(words.classes.reduce((sum, [, many]) => sum + many, 0));
    const tokens = new Int32Array(words.total);
    let [at, rank] = [0, 0];
    for (const [count, many] of words.classes) {
      for (let k = 0; k < many; k++, rank++) {
        bag.put(rank, count);
        tokens.fill(rank, at, (at += count));
      }
    }
    texts.set(words, { ...words, bag, tokens });
  }
  return texts.get(words);
}

// Real words: one by one where they are few, else by their counts.
function drawReal({ bag, tokens }, size, into) {
  if (size > 2 * bag.length) bag.draw(size, into);
  else for (let i = 0; i < size; i++) into.put(tokens[below(tokens.length)], 1);
}

// The words of a bag one after the other, into an array.
function spread({ list, counts, length }, into) {
  let at = 0;
  for (let i = 0; i < length; i++) into.fill(list[i], at, (at += counts[list[i]]));
}

function recorder({ bag, shown }) {
  const share = ({ squares, size }) => squares / size / size;
  const most = 1 - share(bag);
  return (run, t, fitted, line, result) => {
    line.support[t - 1] = fitted.length;
    line.diversity[t - 1] = (1 - share(fitted)) / most;
    if (run > 0) return;
    shown.forEach(([rank], k) => (result.present[(t - 1) * shown.length + k] = fitted.counts[rank] > 0 ? 1 : 0));
  };
}

// One run of a regime for which counts are enough.
function countsRun(p, { n, generations, seed }, words) {
  const real = text(words);
  const record = recorder(real);
  const [first, kept, batch, other] = [0, 1, 2, 3].map(() => new Bag(real.bag.length));
  const accumulates = p.union >= 0;
  const part = accumulates ? p.union : p.fixed;
  const each = part && part < n ? new Int32Array(n) : null;
  return (run, line, result) => {
    beginRun(seed, run);
    stream(REAL);
    first.clear();
    drawReal(real, n, first);
    record(run, 1, first, line, result);
    kept.clear();
    if (each) {
      stream(SUBSET);
      spread(first, each);
      bringForward(each, n, part);
      for (let i = 0; i < part; i++) kept.put(each[i], 1);
    } else if (part) first.pour(kept);
    let model = first;
    for (let t = 2; t <= generations; t++) {
      const [newest, fresh] = [p.newest(t), p.real(t)];
      const into = accumulates ? batch : model === batch ? other : batch;
      into.clear();
      if (!accumulates) kept.pour(into);
      if (newest) {
        stream(SAMPLE);
        model.draw(newest, into);
      }
      if (fresh) {
        stream(REAL);
        drawReal(real, fresh, into);
      }
      if (accumulates) batch.pour(kept);
      model = accumulates ? kept : into;
      record(run, t, model, line, result);
    }
  };
}

// One run of a regime that draws subsets: every word by itself.
function tokensRun(p, { n, generations, seed }, words) {
  const real = text(words);
  const record = recorder(real);
  const bag = new Bag(real.bag.length);
  const original = new Int32Array(n);
  // With a pool the newest training set is its front; without one each set takes the place of the one before.
  let train = new Int32Array(p.subsample ? n * generations : n);
  let next = p.subsample ? null : new Int32Array(n);
  const judge = (run, t, line, result) => {
    bag.clear();
    for (let i = 0; i < n; i++) bag.put(train[i], 1);
    record(run, t, bag, line, result);
  };
  return (run, line, result) => {
    beginRun(seed, run);
    stream(REAL);
    bag.clear();
    drawReal(real, n, bag);
    spread(bag, original);
    train.set(original);
    record(run, 1, bag, line, result);
    for (let t = 2; t <= generations; t++) {
      const newest = p.newest(t);
      if (p.subsample) {
        stream(SAMPLE);
        for (let i = 0, held = n * (t - 1); i < newest; i++) train[held++] = train[below(n)];
        stream(SUBSET);
        bringForward(train, n * t, n);
      } else {
        let filled = 0;
        if (p.original) {
          stream(SUBSET);
          bringForward(original, n, p.original);
          for (; filled < p.original; filled++) next[filled] = original[filled];
        }
        stream(SAMPLE);
        for (let i = 0; i < newest; i++) next[filled++] = train[below(n)];
        stream(REAL);
        for (let i = 0; i < p.real(t); i++) next[filled++] = real.tokens[below(real.tokens.length)];
        if (p.previous) {
          // Last, because it brings words forward in the set that the model samples from.
          stream(COPIED);
          bringForward(train, n, p.previous);
          for (let i = 0; i < p.previous; i++) next[filled++] = train[i];
        }
        [train, next] = [next, train];
      }
      judge(run, t, line, result);
    }
  };
}

// ---------------------------------------------------------------- summaries

// The k-th smallest of values[left … right], brought to its place (Hoare's selection).
function select(values, k, left, right) {
  while (left < right) {
    const pivot = values[(left + right) >>> 1];
    let i = left;
    let j = right;
    while (i <= j) {
      while (values[i] < pivot) i++;
      while (values[j] > pivot) j--;
      if (i <= j) {
        const other = values[i];
        values[i++] = values[j];
        values[j--] = other;
      }
    }
    if (k <= j) right = j;
    else if (k >= i) left = i;
    else break;
  }
  return values[k];
}

export const BAND = [0.05, 0.5, 0.95];

// Quantiles, linear between order statistics as numpy's, of values that may be reordered; written to out[0 …][at].
function quantiles(values, out, at) {
  const last = values.length - 1;
  // The median first: it halves what the other two are looked for in.
  for (const [q, left, right] of [
    [1, 0, last],
    [0, 0, last >> 1],
    [2, last >> 1, last],
  ]) {
    const place = BAND[q] * last;
    const k = Math.floor(place);
    const low = select(values, k, left, right);
    let high = low;
    if (place > k) {
      high = Infinity;
      const end = Math.max(right, k + 1);
      for (let i = k + 1; i <= end; i++) if (values[i] < high) high = values[i];
    }
    out[q][at] = low + (place - k) * (high - low);
  }
}

// Low, median and high quantile and the mean over runs at each generation.
export function summary(values, runs) {
  const generations = values.length / runs;
  const out = [0, 1, 2, 3].map(() => new Float64Array(generations));
  const scratch = new Float64Array(runs);
  for (let t = 0; t < generations; t++) {
    scratch.set(values.subarray(t * runs, (t + 1) * runs));
    let sum = 0;
    for (let r = 0; r < runs; r++) sum += scratch[r];
    out[3][t] = sum / runs;
    quantiles(scratch, out, t);
  }
  return { low: out[0], median: out[1], high: out[2], average: out[3] };
}

const GRID = Float64Array.from({ length: 141 }, (_, i) => -3.5 + i / 20);

// Fitted densities at one generation: the band of all runs at each point of the grid, and the medians of mean and variance.
function densities(result, stats, t) {
  const { runs, variance, mean } = result;
  const from = (t - 1) * runs;
  const scratch = new Float64Array(runs);
  const out = BAND.map(() => new Float64Array(GRID.length));
  const root = new Float64Array(runs);
  const rate = new Float64Array(runs);
  for (let r = 0; r < runs; r++) {
    rate[r] = -0.5 / variance[from + r];
    root[r] = 1 / Math.sqrt(2 * Math.PI * variance[from + r]);
  }
  for (let g = 0; g < GRID.length; g++) {
    const x = GRID[g];
    for (let r = 0; r < runs; r++) {
      const gap = x - mean[from + r];
      scratch[r] = root[r] * Math.exp(rate[r] * gap * gap);
    }
    quantiles(scratch, out, g);
  }
  return { low: out[0], high: out[2], mean: stats.mean.median[t - 1], variance: stats.variance.median[t - 1] };
}

