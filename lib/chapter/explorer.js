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

// ---------------------------------------------------------------- the look (lib.chapter.figures)

// Colour, marker and dashes of a regime as lib.chapter.figures has them; the second colour is for a dark ground.
export const STYLES = {
  Replace: { color: "#D55E00", dark: "#F07A22", marker: "o", dash: "" },
  Accumulate: { color: "#0072B2", dark: "#45A6E0", marker: "s", dash: "" },
  AccumulateFresh: { color: "#332288", dark: "#A99BF5", marker: "h", dash: "2 3" },
  AccumulateSubsample: { color: "#56B4E9", dark: "#7CC8F2", marker: "D", dash: "7 4" },
  ReplaceGrown: { color: "#E69F00", dark: "#F0B333", marker: "^", dash: "7 4" },
  Keep: { color: "#CC79A7", dark: "#E197C0", marker: "v", dash: "9 3 2 3" },
  FreshReal: { color: "#B8A800", dark: "#D1C233", marker: "P", dash: "2 3" },
  RealOnly: { color: "#009E73", dark: "#2CC29A", marker: "X", dash: "9 3 2 3" },
  Mixture: { color: "#777777", dark: "#A6A6A6", marker: "*", dash: "2 3" },
};

export const styleName = (name) => (name.startsWith("Accumulate(") ? "AccumulateFresh" : /^[A-Za-z]*/.exec(name)[0]);

const MARKS = {
  o: "M-3.4,0a3.4,3.4 0 1,0 6.8,0a3.4,3.4 0 1,0 -6.8,0Z",
  s: "M-3,-3H3V3H-3Z",
  h: "M0,-3.8L3.3,-1.9V1.9L0,3.8L-3.3,1.9V-1.9Z",
  D: "M0,-4.2L4.2,0L0,4.2L-4.2,0Z",
  "^": "M0,-3.8L3.7,3H-3.7Z",
  v: "M0,3.8L3.7,-3H-3.7Z",
  P: "M-1.3,-3.8H1.3V-1.3H3.8V1.3H1.3V3.8H-1.3V1.3H-3.8V-1.3H-1.3Z",
  X: "M-3.6,-1.9L-1.9,-3.6L0,-1.7L1.9,-3.6L3.6,-1.9L1.7,0L3.6,1.9L1.9,3.6L0,1.7L-1.9,3.6L-3.6,1.9L-1.7,0Z",
  "*": "M0,-4.4L1.1,-1.4L4.2,-1.4L1.7,0.5L2.6,3.6L0,1.7L-2.6,3.6L-1.7,0.5L-4.2,-1.4L-1.1,-1.4Z",
};

const CSS = `
.explorer { --ink: #222222; --soft: #565656; --grid: #e4e4e4; --edge: #767676; --ground: var(--pst-color-background, #ffffff); --card: #f6f6f6; --focus: #0b57c4;
  color: var(--ink); background: var(--ground); color-scheme: light; font: 15px/1.45 system-ui, sans-serif; container-type: inline-size; }
DARK { --ink: #ececec; --soft: #b9b9b9; --grid: #3a3d42; --edge: #8f949b; --ground: var(--pst-color-background, #16181c); --card: #22252a; --focus: #7fb0f5;
  color-scheme: dark; }
.explorer *, .explorer *::before { box-sizing: border-box; }
.explorer fieldset { border: 1px solid var(--grid); border-radius: 6px; background: var(--card); margin: 0; padding: .35rem .75rem .6rem; min-width: 0; }
.explorer legend { float: none; width: auto; margin: 0; padding: 0 .3rem; font-size: .95rem; font-weight: 600; color: var(--ink); }
.explorer .controls { display: grid; grid-template-columns: minmax(0, 1fr); gap: .6rem; margin: 0 0 .6rem; }
@container (min-width: 560px) { .explorer .controls { grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); }
  .explorer .controls .wide { grid-column: 1 / -1; }
  .explorer .controls .wide .fields { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); column-gap: 1.5rem; } }
.explorer .field { display: grid; grid-template-columns: 7.2rem minmax(0, 1fr) 4.6rem; align-items: center; gap: .5rem; min-height: 2rem; }
.explorer .field label { font-weight: 400; margin: 0; }
.explorer .field output { text-align: right; font-variant-numeric: tabular-nums; }
.explorer .field.long > :nth-child(2) { grid-column: 2 / -1; }
.explorer .field.tick { grid-template-columns: 1.4rem minmax(0, 1fr); }
.explorer .about { margin: .1rem 0 .3rem; font-size: .86rem; line-height: 1.35; color: var(--soft); min-height: 2.4em; }
.explorer select, .explorer input[type="number"], .explorer button { font: inherit; color: var(--ink); background: var(--ground);
  border: 1px solid var(--edge); border-radius: 4px; padding: .2rem .45rem; max-width: 100%; min-height: 2rem; }
.explorer select { width: 100%; }
.explorer button { cursor: pointer; min-width: 2.4rem; }
.explorer button:hover { border-color: var(--ink); }
.explorer input[type="range"] { width: 100%; margin: 0; accent-color: var(--focus); min-height: 1.6rem; }
.explorer input[type="checkbox"] { width: 1.1rem; height: 1.1rem; margin: 0; accent-color: var(--focus); }
.explorer :focus-visible { outline: 3px solid var(--focus); outline-offset: 2px; }
.explorer .line { display: flex; flex-wrap: wrap; align-items: center; gap: .5rem; }
.explorer .seed { flex: 1 1 4rem; min-width: 0; width: 4rem; }
.explorer .field .line { flex-wrap: nowrap; }
.explorer .line button { flex: none; }
.explorer button svg { display: block; margin: auto; fill: currentColor; }
.explorer .legend { display: flex; flex-wrap: wrap; gap: .1rem 1.1rem; margin: .2rem 0; padding: 0; list-style: none; font-size: .9rem; }
.explorer .legend li { display: flex; align-items: center; gap: .4rem; margin: 0; }
.explorer .charts { display: grid; grid-template-columns: minmax(0, 1fr); gap: .4rem 1rem; }
@container (min-width: 560px) { .explorer .charts.three { grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); }
  .explorer .charts.three > :first-child { grid-column: 1 / -1; } .explorer .charts.two { grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); } }
.explorer svg { display: block; max-width: 100%; overflow: hidden; }
.explorer svg text { fill: var(--ink); font-size: 12px; }
.explorer svg text.name { font-weight: 600; font-size: 13px; }
.explorer .gridline { stroke: var(--grid); stroke-width: 1; }
.explorer .axis { stroke: var(--edge); stroke-width: 1; }
.explorer .law { stroke: var(--ink); stroke-width: 1.1; fill: none; }
.explorer .typical { stroke-dasharray: 4 3; }
.explorer .cursor { stroke: var(--soft); stroke-width: 1; stroke-dasharray: 2 2; }
.explorer .middle { fill: none; stroke-width: 2; }
.explorer .average { fill: none; stroke-width: 1.3; stroke-dasharray: 1 3; stroke-linecap: round; }
.explorer .single { fill: none; stroke-width: .9; opacity: .55; }
.explorer .band { stroke: none; opacity: .2; }
.explorer .ghost { opacity: .22; }
.explorer .hollow { fill: var(--ground); stroke-width: 1.2; }
.explorer .transport { display: flex; flex-wrap: wrap; align-items: center; gap: .5rem; margin: .5rem 0; padding: .5rem .75rem;
  border: 1px solid var(--grid); border-radius: 6px; background: var(--card); }
.explorer .transport .scrub { flex: 1 1 14rem; display: grid; grid-template-columns: auto minmax(0, 1fr); align-items: center; gap: .5rem; }
.explorer .transport label { margin: 0; font-variant-numeric: tabular-nums; min-width: 9.5rem; }
.explorer .said { margin: .4rem 0; }
.explorer .message:empty { display: none; }
.explorer .message { margin: .4rem 0; padding: .4rem .75rem; border-left: 4px solid #b35900; background: var(--card); overflow-wrap: anywhere; }
.explorer .note { font-size: .86rem; color: var(--soft); margin: .3rem 0; }
.explorer .words { display: grid; grid-template-columns: minmax(0, 1fr); gap: .3rem 1.2rem; }
@container (min-width: 560px) { .explorer .words.both { grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); } }
.explorer .words .title { font-weight: 600; margin: .4rem 0 .2rem; }
.explorer .words ul { display: flex; flex-wrap: wrap; gap: .1rem .55rem; margin: 0; padding: 0; list-style: none; font-size: .86rem; line-height: 1.4; }
.explorer .words li { margin: 0; font-weight: 600; border-bottom: 2px solid transparent; }
.explorer .words li.lost { font-weight: 400; color: var(--soft); text-decoration: line-through; }
.explorer .words li.new { border-bottom-color: currentColor; color: var(--ink); }
.explorer .scroll { overflow-x: auto; }
.explorer table { border-collapse: collapse; font-size: .86rem; font-variant-numeric: tabular-nums; margin: .3rem 0; width: auto; color: var(--ink); background: transparent; }
.explorer th, .explorer td { padding: .15rem .6rem; text-align: right; border-bottom: 1px solid var(--grid); white-space: nowrap; background: transparent; color: var(--ink); }
.explorer caption { caption-side: top; text-align: left; color: var(--soft); padding: .2rem 0; }
.explorer summary { cursor: pointer; padding: .2rem 0; }
@media print { .explorer .controls, .explorer .transport, .explorer .share { display: none; } }
`;

// Dark where the page says so; where it says nothing, as the reader's system does.
const DARK = [
  'html[data-theme="dark"] .explorer',
  '[data-jp-theme-light="false"] .explorer',
  'html[theme="dark"] .explorer',
  ".vscode-dark .explorer",
];
const SILENT = "html:not([data-theme]):not([theme]):not(:has([data-jp-theme-light])) body:not(.vscode-light) .explorer";

function styleSheet() {
  const colours = (key) => Object.entries(STYLES).map(([name, look]) => `--${name}: ${look[key]};`).join(" ");
  const rule = /DARK (\{[^}]*\})/.exec(CSS)[1].replace("{", `{ ${colours("dark")}`);
  const sheet = CSS.replace(/DARK \{[^}]*\}/, `.explorer { ${colours("color")} }\n${DARK.join(", ")} ${rule}`);
  return `${sheet}\n@media (prefers-color-scheme: dark) { ${SILENT} ${rule} }`;
}

// ---------------------------------------------------------------- charts

// A name no other element has. A notebook loads the module anew for each widget, so that a number alone would come twice, and a
// label or a clip path would then mean the other widget's.
const LOADED = Math.random().toString(36).slice(2);
let made = 0;
const unique = () => `explorer-${LOADED}-${++made}`;

const LEFT = 56;
const RIGHT = 14;
const TOP = 24;
const BOTTOM = 36;

// A number as text: three digits, powers of ten where it is very small or large.
function say(x) {
  if (x === 0) return "0";
  if (!Number.isFinite(x)) return String(x);
  const size = Math.abs(x);
  if (size >= 1e-3 && size < 1e5) return String(Number(x.toPrecision(3))).replace("-", "−");
  const [digits, power] = x.toExponential(1).split("e");
  const raised = [...String(Number(power))].map((c) => (c === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[c])).join("");
  return `${Number(digits) === 1 ? "" : `${Number(digits)}·`}10${raised}`.replace("-", "−");
}

function niceStep(span, count) {
  const raw = span / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  return power * [1, 2, 5, 10].find((k) => k * power >= raw * 0.999);
}

function linearTicks(low, high, count, whole = false) {
  const step = Math.max(niceStep(high - low || 1, count), whole ? 1 : 0);
  const out = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++) out.push(k * step);
  return out;
}

function logTicks(low, high) {
  const decades = Math.log10(high / low);
  const every = Math.ceil(decades / 6);
  const inner = decades < 1.2 ? [1, 2, 5] : [1];
  const out = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high) + 1e-9; power++) {
    if (((power % every) + every) % every) continue;
    for (const k of inner) {
      const value = k * 10 ** power;
      if (value >= low * 0.999 && value <= high * 1.001) out.push(value);
    }
  }
  return out;
}

// The next number of the series … 1, 2, 5, 10 … at or beyond x, for the ends of an axis.
function roundDown(x) {
  const power = 10 ** Math.floor(Math.log10(x));
  return power * [5, 2, 1].find((k) => k * power <= x * 1.0001);
}
function roundUp(x) {
  const power = 10 ** Math.floor(Math.log10(x));
  return power * [1, 2, 5, 10].find((k) => k * power >= x * 0.9999);
}

function axes(width, height, x, y, names) {
  const place = (range, from, to) => {
    const f = range.log ? Math.log : (v) => v;
    const [low, high] = [f(range.low), f(range.high)];
    return (v) => from + ((f(v) - low) / (high - low)) * (to - from);
  };
  const px = place(x, LEFT, width - RIGHT);
  const py = place(y, height - BOTTOM, TOP);
  const parts = [];
  for (const v of y.ticks) {
    const at = py(v).toFixed(1);
    parts.push(`<line class="gridline" x1="${LEFT}" x2="${width - RIGHT}" y1="${at}" y2="${at}"/>`);
    parts.push(`<text x="${LEFT - 6}" y="${Number(at) + 4}" text-anchor="end">${say(Number(v.toPrecision(6)))}</text>`);
  }
  for (const v of x.ticks) {
    const at = px(v).toFixed(1);
    parts.push(`<line class="axis" x1="${at}" x2="${at}" y1="${height - BOTTOM}" y2="${height - BOTTOM + 4}"/>`);
    parts.push(`<text x="${at}" y="${height - BOTTOM + 17}" text-anchor="middle">${say(Number(v.toPrecision(6)))}</text>`);
  }
  parts.push(`<line class="axis" x1="${LEFT}" x2="${width - RIGHT}" y1="${height - BOTTOM}" y2="${height - BOTTOM}"/>`);
  parts.push(`<text class="name" x="4" y="14">${names.y}</text>`);
  parts.push(`<text x="${(LEFT + width - RIGHT) / 2}" y="${height - 3}" text-anchor="middle">${names.x}</text>`);
  return { px, py, svg: parts.join(""), width, height };
}

// The path through (x, y); values out of the frame are cut a little outside of it, so that a spike leaves it straight.
function path(frame, xs, ys) {
  const [least, most] = [-frame.height, 2 * frame.height];
  let out = "";
  for (let i = 0; i < xs.length; i++) {
    let y = frame.py(ys[i]);
    y = y > most || y !== y ? most : y < least ? least : y;
    out += (i ? "L" : "M") + frame.px(xs[i]).toFixed(1) + "," + y.toFixed(1);
  }
  return out;
}

function bandPath(frame, xs, low, high) {
  const back = Float64Array.from(xs).reverse();
  return path(frame, xs, high) + "L" + path(frame, back, Float64Array.from(low).reverse()).slice(1) + "Z";
}

const inkOf = (curve) => `var(--${styleName(curve.regime)})`;

// The lines of one regime against the generation: band, mean over runs, median with markers. `variant` marks a second regime of
// the same kind, which has the same colour.
function trajectory(frame, ts, stats, curve) {
  const ink = inkOf(curve);
  const { marker, dash } = STYLES[styleName(curve.regime)];
  const every = Math.max(1, Math.floor(ts.length / 8));
  let marks = "";
  for (let i = 0; i < ts.length; i += every) {
    const at = `${frame.px(ts[i]).toFixed(1)},${frame.py(stats.median[i]).toFixed(1)}`;
    marks += curve.variant
      ? `<path class="hollow" d="${MARKS[marker]}" transform="translate(${at})" stroke="${ink}"/>`
      : `<path d="${MARKS[marker]}" transform="translate(${at})" fill="${ink}"/>`;
  }
  return (
    `<path class="band" d="${bandPath(frame, ts, stats.low, stats.high)}" fill="${ink}"/>` +
    (curve.average ? `<path class="average" d="${path(frame, ts, stats.average)}" stroke="${ink}"/>` : "") +
    `<path class="middle" d="${path(frame, ts, stats.median)}" stroke="${ink}" stroke-dasharray="${curve.variant ? "5 2" : dash}"/>` +
    marks
  );
}

// A chart against the generation: all of it faintly, and what has happened up to generation t in full. Returns what moves t.
function overTime(holder, width, height, range, names, curves, description) {
  const generations = curves.length ? curves[0].stats.median.length : 2;
  const ts = Float64Array.from({ length: generations }, (_, i) => i + 1);
  const ticks = linearTicks(1, generations, width < 480 ? 4 : 8, true);
  if (ticks[0] > 1 && ticks[0] > 0.08 * generations) ticks.unshift(1);
  const frame = axes(width, height, { low: 1, high: generations, ticks }, range, { x: "generation", ...names });
  const id = unique();
  const inside = `x="${LEFT - 5}" y="${TOP - 5}" height="${height - TOP - BOTTOM + 10}"`;
  const drawn = curves.map((curve) => trajectory(frame, ts, curve.stats, curve)).join("");
  let exact = "";
  for (const curve of curves) {
    for (const line of curve.laws) if (line) exact += `<path class="law" d="${path(frame, ts, line)}"/>`;
    if (curve.typical) exact += `<path class="law typical" d="${path(frame, ts, curve.typical)}"/>`;
  }
  holder.innerHTML =
    `<svg role="img" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}"><defs>` +
    `<clipPath id="${id}-all"><rect ${inside} width="${width - LEFT - RIGHT + 10}"/></clipPath>` +
    `<clipPath id="${id}-now"><rect ${inside} width="0"/></clipPath></defs>${frame.svg}` +
    `<g class="ghost" clip-path="url(#${id}-all)">${drawn}</g><g clip-path="url(#${id}-now)">${drawn}</g>` +
    `<g clip-path="url(#${id}-all)">${exact}</g>` +
    `<line class="cursor" y1="${TOP}" y2="${height - BOTTOM}"/></svg>`;
  holder.firstChild.setAttribute("aria-label", description);
  const now = holder.querySelector(`[id="${id}-now"] rect`);
  const cursor = holder.querySelector(".cursor");
  return (t) => {
    const at = frame.px(t);
    now.setAttribute("width", (at - LEFT + 10).toFixed(1));
    cursor.setAttribute("x1", at.toFixed(1));
    cursor.setAttribute("x2", at.toFixed(1));
  };
}

function variancePath(frame, mean, variance) {
  const deviation = Math.sqrt(variance);
  const xs = [];
  for (let k = -40; k <= 40; k++) xs.push(mean + (k / 10) * deviation);
  const ys = xs.map((x) => Math.exp((-0.5 * (x - mean) ** 2) / variance) / Math.sqrt(2 * Math.PI * variance));
  return path(frame, xs, ys);
}

const HIGHEST = 1.2; // three times the truth's density; a fit that has collapsed leaves the frame

function densityChart(holder, width, height, curves, t, description) {
  const ticks = { x: [-3, -2, -1, 0, 1, 2, 3], y: [0, 0.4, 0.8, 1.2] };
  const x = { low: -3.5, high: 3.5, ticks: ticks.x };
  const frame = axes(width, height, x, { low: 0, high: HIGHEST, ticks: ticks.y }, {
    x: "value, in standard deviations of the truth",
    y: `fitted density, generation ${t}`,
  });
  const id = unique();
  let drawn = "";
  for (const curve of curves) {
    const d = densities(curve.result, curve.all, t);
    const ink = inkOf(curve);
    const from = (t - 1) * curve.result.runs;
    drawn += `<path class="band" d="${bandPath(frame, GRID, d.low, d.high)}" fill="${ink}"/>`;
    for (let r = 0; r < Math.min(5, curve.result.runs); r++) {
      const one = variancePath(frame, curve.result.mean[from + r], curve.result.variance[from + r]);
      drawn += `<path class="single" d="${one}" stroke="${ink}"/>`;
    }
    const { dash } = STYLES[styleName(curve.regime)];
    drawn += `<path class="middle" d="${variancePath(frame, d.mean, d.variance)}" stroke="${ink}" stroke-dasharray="${curve.variant ? "5 2" : dash}"/>`;
  }
  holder.innerHTML =
    `<svg role="img" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}"><defs><clipPath id="${id}">` +
    `<rect x="${LEFT}" y="${TOP}" width="${width - LEFT - RIGHT}" height="${height - TOP - BOTTOM}"/></clipPath></defs>` +
    `${frame.svg}<g clip-path="url(#${id})">${drawn}<path class="law" d="${variancePath(frame, 0, 1)}"/></g></svg>`;
  holder.firstChild.setAttribute("aria-label", description);
}

// A logarithmic range that holds all values and [low, high] besides, over 30 decades at most.
function logRange(lists, low, high) {
  for (const list of lists) {
    for (const value of list) {
      if (value > 0 && value < low) low = value;
      if (value > high) high = value;
    }
  }
  low = roundDown(Math.max(low, high * 1e-30));
  high = roundUp(high);
  return { low, high, log: true, ticks: logTicks(low, high) };
}

// ---------------------------------------------------------------- controls

function make(tag, attributes = {}, ...children) {
  const out = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) out.addEventListener(name.slice(2), value);
    else if (value === true) out.setAttribute(name, "");
    else if (value !== false && value !== null) out.setAttribute(name, value);
  }
  out.append(...children);
  return out;
}

function row(text, control, after = null, kind = "field") {
  control.id = unique();
  const name = make("label", { for: control.id }, text);
  if (kind === "field tick") return make("div", { class: kind }, control, name);
  if (after) after.setAttribute("for", control.id);
  return make("div", { class: after ? kind : `${kind} long` }, name, control, ...(after ? [after] : []));
}

// A slider over a list of values; a value that is not in the list finds its place in it.
function slider(text, values, changed, format = (v) => v.toLocaleString("en").replace(/,/g, "\u202f")) {
  let list = [...values];
  const input = make("input", { type: "range", min: 0, max: list.length - 1, step: 1 });
  const output = make("output");
  const show = () => {
    const shown = format(list[input.value]);
    output.textContent = shown;
    input.setAttribute("aria-valuetext", shown);
  };
  input.addEventListener("input", () => {
    show();
    changed();
  });
  return {
    element: row(text, input, output),
    read: () => list[input.value],
    write(value) {
      list = values.includes(value) ? [...values] : [...values, value].sort((p, q) => p - q);
      input.max = list.length - 1;
      input.value = list.indexOf(value);
      show();
    },
  };
}

const HUNDREDTHS = Array.from({ length: 101 }, (_, i) => i / 100);

function tick(text, changed) {
  const input = make("input", { type: "checkbox", onchange: changed });
  return {
    element: row(text, input, null, "field tick"),
    read: () => input.checked,
    write: (value) => (input.checked = value),
  };
}

// The parameters of each regime: their defaults, and what they are called.
const PARAMETERS = {
  Accumulate: { fresh: [0, "new real share"], kept: [1, "original kept"] },
  Keep: { share: [0.1, "share kept"], redraw: [true, "drawn anew at each generation"] },
  FreshReal: { share: [0.1, "new real share"] },
  RealOnly: { grow: [true, "n new real samples at each generation"] },
  Mixture: {
    beta: [0.3, "β, previous set"],
    gamma: [0.1, "γ, original"],
    fresh: [false, "γ means new real data"],
  },
};

function regimeControls(title, swatch, optional, changed) {
  const names = [...(optional ? [NONE] : []), ...Object.keys(REGIMES)];
  const menu = make("select", {}, ...names.map((name) => make("option", { value: name }, name)));
  const about = make("p", { class: "about" });
  const holder = make("div");
  about.id = unique();
  menu.setAttribute("aria-describedby", about.id);
  let parameters = {};
  const build = (regime) => {
    parameters = {};
    const asked = Object.entries(PARAMETERS[regime.name] ?? {});
    for (const [key, [start, text]] of asked) {
      const control = typeof start === "boolean" ? tick(text, changed) : slider(text, HUNDREDTHS, moved(key), (v) => short(v));
      control.write(regime[key] ?? start);
      parameters[key] = control;
    }
    holder.replaceChildren(...asked.map(([key]) => parameters[key].element));
    about.textContent = REGIMES[regime.name] ?? "No second regime to compare with.";
  };
  // The shares of the mixture sum to 1, and what β and γ leave goes to the newest model: if one grows too large the other gives way.
  const moved = (key) => () => {
    if (menu.value === "Mixture" && parameters.beta.read() + parameters.gamma.read() > 1) {
      const other = key === "beta" ? "gamma" : "beta";
      parameters[other].write(Math.round(100 * (1 - parameters[key].read())) / 100);
    }
    changed();
  };
  menu.addEventListener("change", () => {
    build({ name: menu.value });
    changed();
  });
  const read = () => {
    if (menu.value === NONE) return NONE;
    const regime = { name: menu.value };
    for (const [key, control] of Object.entries(parameters)) regime[key] = control.read();
    if (regime.name === "Mixture") regime.alpha = Number((1 - regime.beta - regime.gamma).toFixed(6));
    return label(regime);
  };
  return {
    element: make("fieldset", {}, make("legend", {}, swatch, ` ${title}`), row("regime", menu), about, holder),
    read,
    write(name) {
      if (read() === name && about.textContent) return; // a slider that is being moved stays as it is
      const regime = name === NONE ? { name: NONE } : parse("regime", name);
      menu.value = regime.name;
      build(regime);
    },
  };
}

// ---------------------------------------------------------------- the two panels

const series = (least, most, steps = [1, 2, 5]) => {
  const out = [];
  for (let power = 1; power <= most; power *= 10) for (const k of steps) out.push(k * power);
  return out.filter((v) => v >= least && v <= most);
};
const GENERATIONS = [2, 5, 10, 20, 30, 50, 75, 100, 150, 200, 300, 400, 500];

const PANELS = {
  gaussian: {
    series: ["variance", "mean"],
    sizes: series(10, 1e6, [1, 1.5, 2, 3, 5, 7]),
    runs: series(10, 5000),
    keys:
      "Thick: the median over runs, and in the density the fit that has the medians of mean and variance. Band: 5 to 95% of runs. " +
      "Dotted: the mean over runs. Thin, in the colour of the text: the exact law, that is, the mean of the variance, the root mean " +
      "square of the drift on both sides, and the true density; dashed, where it is known, the geometric mean of the variance. Thin " +
      "and coloured, in the density: the first five runs.",
    layout: "charts three",
    draw(holders, wide, narrow, curves, settled) {
      const variance = curves.map((c) => ({
        ...c,
        stats: c.all.variance,
        laws: [c.law.variance],
        typical: c.law.typical,
        average: true,
      }));
      const lists = variance.flatMap((c) => [c.stats.low, c.stats.high, c.law.variance ?? [], c.law.typical ?? []]);
      const spread = overTime(
        holders[0],
        wide,
        250,
        logRange(lists, 0.5, 2),
        { y: "variance of the fit (truth = 1)" },
        variance,
        `Variance of the fit against the generation, logarithmic. ${settled("variance")}`,
      );
      const mean = curves.map((c) => {
        const root = c.law.error?.map(Math.sqrt);
        return { ...c, stats: c.all.mean, laws: root ? [root, root.map((v) => -v)] : [] };
      });
      let most = 0.1;
      for (const c of mean) {
        for (const list of [c.stats.low, c.stats.high, ...c.laws]) for (const v of list) most = Math.max(most, Math.abs(v));
      }
      const high = roundUp(most * 1.02);
      const drift = overTime(
        holders[1],
        narrow,
        230,
        { low: -high, high, ticks: linearTicks(-high, high, 5) },
        { y: "drift of the mean (in σ of the truth)" },
        mean,
        `Drift of the fitted mean against the generation. ${settled("mean")}`,
      );
      return [spread, drift];
    },
    at(holders, narrow, curves, t, said) {
      densityChart(holders[2], narrow, 230, curves, t, `Fitted densities at generation ${t}, against the true one. ${said}`);
    },
    charts: 3,
    sentence(curve, t) {
      const { median, low, high } = curve.all.variance;
      const exact = curve.law.variance;
      const drift = curve.result.mean.subarray((t - 1) * curve.result.runs, t * curve.result.runs);
      const root = Math.sqrt(drift.reduce((sum, m) => sum + m * m, 0) / drift.length);
      return (
        `${curve.regime}: median variance ${say(median[t - 1])} of the truth's (5 to 95% of ${curve.result.runs} runs: ` +
        `${say(low[t - 1])} to ${say(high[t - 1])})${exact ? `, exact mean ${say(exact[t - 1])}` : ", no closed form known"}; ` +
        `the mean is off by ${say(root)} σ (root mean square${curve.law.error ? `, exactly ${say(Math.sqrt(curve.law.error[t - 1]))}` : ""}).`
      );
    },
    head: ["median variance", "5 to 95%", "mean", "exact mean", "median drift", "5 to 95%", "exact r.m.s."],
    row(curve, t) {
      const { variance, mean } = curve.all;
      const [v, e] = [curve.law.variance, curve.law.error];
      const band = (s) => `${say(s.low[t - 1])} to ${say(s.high[t - 1])}`;
      return [
        say(variance.median[t - 1]),
        band(variance),
        say(variance.average[t - 1]),
        v ? say(v[t - 1]) : "not known",
        say(mean.median[t - 1]),
        band(mean),
        e ? say(Math.sqrt(e[t - 1])) : "not known",
      ];
    },
  },
  words: {
    series: ["support", "diversity"],
    sizes: series(10, 1e6, [1, 1.5, 2, 3, 5, 7]),
    runs: series(2, 500),
    keys:
      "Thick: the median over runs. Band: 5 to 95% of runs. Dotted: the mean over runs. Thin, in the colour of the text: the exact law of the mean. For the " +
      "number of words it is known here when everything is thrown away, when everything is kept and for real data; diversity has one " +
      "nearly everywhere.",
    layout: "charts two",
    draw(holders, wide, narrow, curves, settled) {
      const support = curves.map((c) => ({ ...c, stats: c.all.support, laws: [c.law.support], average: true }));
      const lists = support.flatMap((c) => [c.stats.low, c.stats.high, c.law.support ?? []]);
      const [low, high] = [Math.min(...lists.map((l) => Math.min(...l))), Math.max(...lists.map((l) => Math.max(...l)))];
      const range = curves.length ? logRange(lists, Math.max(1, low), Math.max(high, 1.5 * low)) : logRange([], 1, 1000);
      const left = overTime(
        holders[0],
        narrow,
        240,
        range,
        { y: "words a model can still say" },
        support,
        `Number of words that a model can still say against the generation, logarithmic. ${settled("support")}`,
      );
      const diversity = curves.map((c) => ({ ...c, stats: c.all.diversity, laws: [c.law.diversity], average: true }));
      const right = overTime(
        holders[1],
        narrow,
        240,
        { low: 0, high: 1.1, ticks: [0, 0.2, 0.4, 0.6, 0.8, 1] },
        { y: "diversity (truth = 1)" },
        diversity,
        `Diversity, the chance that two words differ, against the generation. ${settled("diversity")}`,
      );
      return [left, right];
    },
    at(holders, narrow, curves, t, said, words) {
      for (const [k, curve] of curves.entries()) {
        const present = (rank, g) => g < 1 || curve.result.present[(g - 1) * words.shown.length + rank] > 0;
        const list = make("ul");
        words.shown.forEach(([, name], rank) => {
          const [there, before] = [present(rank, t), present(rank, t - 1)];
          const kind = there ? null : before ? "lost new" : "lost";
          list.append(make("li", kind ? { class: kind } : {}, there ? name : make("del", {}, name)));
        });
        const left = words.shown.filter((_, rank) => present(rank, t)).length;
        const title = `${curve.regime}, first run: ${left} of ${words.shown.length}`;
        holders[2 + k].replaceChildren(make("p", { class: "title" }, swatch(curve.regime), ` ${title}`), list);
      }
      for (let k = curves.length; k < 2; k++) holders[2 + k].replaceChildren();
      holders[2].parentElement.classList.toggle("both", curves.length > 1);
    },
    charts: 2,
    sentence(curve, t, words) {
      const { median, low, high } = curve.all.support;
      const exact = curve.law.support;
      const there = (k, g) => curve.result.present[(g - 1) * words.shown.length + k] > 0;
      const lost = words.shown.filter((_, k) => (t > 1 ? there(k, t - 1) : true) && !there(k, t)).map(([, name]) => name);
      const news = lost.length ? `, lost at this generation: ${lost.slice(0, 4).join(", ")}${lost.length > 4 ? " …" : ""}` : "";
      return (
        `${curve.regime}: a model can still say a median of ${say(median[t - 1])} words (5 to 95% of ${curve.result.runs} runs: ` +
        `${say(low[t - 1])} to ${say(high[t - 1])}${exact ? `; exact mean ${say(exact[t - 1])}` : ""}); ` +
        `${words.shown.filter((_, k) => there(k, t)).length} of the ${words.shown.length} words shown are left in the first run${news}.`
      );
    },
    head: ["median words", "5 to 95%", "mean", "exact mean", "median diversity", "mean", "exact mean"],
    row(curve, t) {
      const { support, diversity } = curve.all;
      const exact = (list) => (list ? say(list[t - 1]) : "not known");
      return [
        say(support.median[t - 1]),
        `${say(support.low[t - 1])} to ${say(support.high[t - 1])}`,
        say(support.average[t - 1]),
        exact(curve.law.support),
        say(diversity.median[t - 1]),
        say(diversity.average[t - 1]),
        exact(curve.law.diversity),
      ];
    },
  },
};

function swatch(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("width", 30);
  svg.setAttribute("height", 12);
  svg.setAttribute("aria-hidden", "true");
  svg.style.display = "inline-block";
  if (name !== NONE) {
    const { marker, dash } = STYLES[styleName(name)];
    const ink = `var(--${styleName(name)})`;
    svg.innerHTML =
      `<path d="M1,6H29" style="stroke:${ink}" stroke-width="2" stroke-dasharray="${dash}"/>` +
      `<path d="${MARKS[marker]}" style="fill:${ink}" transform="translate(15,6)"/>`;
  }
  return svg;
}

// What the buttons show; drawn, because not every font has these signs.
const ICONS = {
  "To the first generation": "M2,2H4V14H2ZM14,2V14L5,8Z",
  "One generation back": "M12,2V14L3,8Z",
  Play: "M3,1.5V14.5L14,8Z",
  Pause: "M3,2H6.5V14H3ZM9.5,2H13V14H9.5Z",
  "One generation on": "M4,2V14L13,8Z",
  "To the last generation": "M12,2H14V14H12ZM2,2V14L11,8Z",
};

function named(button, name) {
  button.innerHTML = `<svg width="16" height="16" viewBox="0 0 16 16" aria-hidden="true"><path d="${ICONS[name]}"/></svg>`;
  for (const attribute of ["aria-label", "title"]) button.setAttribute(attribute, name);
  return button;
}

function lawSwatch(kind) {
  const svg = swatch(NONE);
  svg.innerHTML = `<path class="${kind}" d="M1,6H29"/>`;
  return svg;
}

// ---------------------------------------------------------------- mounting

const READDRESSED = "explorer-readdressed"; // a panel has changed the page's address, which holds the state of all of them
const SLICE = 60; // milliseconds of work before the page gets its turn

// Build a panel in `element`, in place of what is there. Options: `panel` ("gaussian" or "words"), `settings`, `words` (the table of
// frequencies), `link` (keep the state in the address of the page), `onchange` (called with the settings after a change).
// Returns a handle with get(), set(settings), destroy(), and the milliseconds of the last redraw.
export function mount(element, options = {}) {
  const { panel = "gaussian", words = null, link = false, onchange = null } = options;
  let problems = [];
  const complain = (text) => problems.push(text);
  let state = settings(panel, options.settings ?? {}, complain);
  if (panel === "words" && !words) refuse("words", words, "a table of frequencies");
  const kind = PANELS[panel];
  const calm = window.matchMedia("(prefers-reduced-motion: reduce)");
  const own = panel === "words" ? "words." : "";
  const timing = { compute: 0, draw: 0, computed: [] };

  // ---- what is on the page
  const slots = { a: make("span"), b: make("span") };
  const changed = () => schedule();
  const controls = {
    a: regimeControls("First regime", slots.a, false, changed),
    b: regimeControls("Second regime", slots.b, true, changed),
    n: slider("samples n", kind.sizes, changed),
    runs: slider("runs", kind.runs, changed),
    generations: slider("generations", GENERATIONS, changed),
  };
  if (panel === "gaussian") {
    const menu = make(
      "select",
      { onchange: changed },
      make("option", { value: "mle" }, "MLE: 1/N"),
      make("option", { value: "unbiased" }, "unbiased: 1/(N−1)"),
    );
    controls.estimator = { element: row("estimator", menu), read: () => menu.value, write: (v) => (menu.value = v) };
  }
  const seed = make("input", { type: "number", class: "seed", min: 0, max: 2 ** 32 - 1, step: 1, onchange: changed });
  controls.seed = { read: () => seed.value, write: (value) => (seed.value = value) };
  const redraw = () => set({ seed: (state.seed + 1) % 2 ** 32 });
  const seedRow = row("seed", make("span", { class: "line" }));
  const seedLine = seedRow.querySelector(".line");
  seedLine.removeAttribute("id");
  seed.id = seedRow.querySelector("label").getAttribute("for");
  seedLine.append(seed, make("button", { type: "button", onclick: redraw }, "Draw again"));
  const rest = ["n", "runs", "generations", "estimator"].filter((key) => controls[key]).map((key) => controls[key].element);
  const form = make(
    "form",
    { class: "controls", onsubmit: (event) => event.preventDefault() },
    controls.a.element,
    controls.b.element,
    make("fieldset", { class: "wide" }, make("legend", {}, "Samples and runs"), make("div", { class: "fields" }, ...rest, seedRow)),
  );

  const scrub = make("input", { type: "range", min: 1, step: 1, oninput: () => moveTo(Number(scrub.value)) });
  const scrubRow = row("generation", scrub);
  scrubRow.className = "scrub";
  const scrubLabel = scrubRow.querySelector("label");
  const button = (name, work) => named(make("button", { type: "button", onclick: work }), name);
  const play = button("Play", () => (timer ? pause() : start()));
  const transport = make(
    "div",
    { class: "transport", role: "group", "aria-label": "Generations" },
    button("To the first generation", () => moveTo(1)),
    button("One generation back", () => moveTo(state.t - 1)),
    play,
    button("One generation on", () => moveTo(state.t + 1)),
    button("To the last generation", () => moveTo(state.generations)),
    scrubRow,
  );
  const legend = make("ul", { class: "legend" });
  const holders = Array.from({ length: panel === "words" ? 4 : 3 }, () => make("div"));
  const charts = make("div", { class: kind.layout }, ...holders.slice(0, kind.charts));
  const lists = panel === "words" ? [make("div", { class: "words" }, ...holders.slice(2))] : [];
  const said = make("p", { class: "said", role: "status", "aria-live": "polite" });
  const message = make("p", { class: "message", role: "alert" });
  const table = make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Numbers of the figure" });
  const details = make("details", { ontoggle: () => fillTable() }, make("summary", {}, "The numbers as a table"), table);
  const address = make("a", { href: "#" }, "Link to this state");
  const copied = make("span", { role: "status" });
  const copy = make("button", { type: "button", onclick: () => copyLink() }, "Copy link");
  const share = link ? [make("p", { class: "line share" }, address, copy, copied)] : [];
  const root = make(
    "section",
    { class: "explorer", "aria-label": panel === "words" ? "Explorer: words" : "Explorer: the Gaussian" },
    make("style", {}, styleSheet()),
    form,
    message,
    transport,
    legend,
    charts,
    ...lists,
    said,
    make("p", { class: "note" }, kind.keys),
    details,
    ...share,
  );
  element.replaceChildren(root);

  // ---- the state, from and to the controls, the address and whoever mounted this
  function show() {
    for (const [key, control] of Object.entries(controls)) control.write(state[key]);
    for (const key of ["a", "b"]) slots[key].replaceChildren(swatch(state[key]));
    scrub.max = state.generations;
  }

  function readControls() {
    const given = { t: Math.min(state.t, Number(controls.generations.read())) };
    for (const [key, control] of Object.entries(controls)) given[key] = control.read();
    // Whoever looks at the last generation goes on looking at the last one.
    if (state.t === state.generations) given.t = given.generations;
    return given;
  }

  let frame = 0;
  function schedule() {
    if (!frame) {
      frame = requestAnimationFrame(() => {
        frame = 0;
        problems = [];
        state = settings(panel, readControls(), complain);
        update();
      });
    }
  }

  function set(given, said = []) {
    problems = [...said];
    const whole = { ...state, ...given };
    if (given.t === undefined && (state.t === state.generations || whole.t > whole.generations)) delete whole.t;
    state = settings(panel, whole, complain);
    update();
  }

  // What the address says of this panel; nothing if it is an anchor of the page.
  function fromAddress() {
    const text = window.location.hash.slice(1);
    const given = {};
    if (!text.includes("=")) return given;
    for (const [key, value] of new URLSearchParams(text)) {
      if (own ? key.startsWith(own) : !key.includes(".")) given[key.slice(own.length)] = value;
    }
    return given;
  }

  function hash() {
    const text = window.location.hash.slice(1);
    const all = new URLSearchParams(text.includes("=") ? text : "");
    for (const key of Object.keys(state)) all.set(own + key, state[key]);
    return `#${all}`;
  }

  let later = 0;
  function tell() {
    clearTimeout(later);
    later = setTimeout(() => {
      if (link) {
        window.history.replaceState(window.history.state, "", hash());
        window.dispatchEvent(new Event(READDRESSED));
      }
      if (onchange) onchange({ ...state });
    }, 200);
  }

  // Once the page has loaded, not before: scripts of a theme may take every link within the page for a selector.
  function nameLink() {
    setTimeout(() => (address.href = hash()), 0);
  }

  async function copyLink() {
    window.history.replaceState(window.history.state, "", hash());
    try {
      await navigator.clipboard.writeText(window.location.href);
      copied.textContent = "Copied.";
    } catch {
      copied.textContent = "The address of this page now holds the state: copy it from there.";
    }
  }

  // ---- computing, in slices; what is known already is not computed again
  let known = new Map();
  let curves = [];
  let round = 0;

  function update(first = false) {
    pause();
    show();
    const began = performance.now();
    const mine = ++round;
    const next = new Map();
    const pending = [];
    for (const name of [state.a, state.b]) {
      if (name === NONE) continue;
      const key = [name, state.n, state.runs, state.generations, state.seed, state.estimator].join("|");
      if (next.has(key)) continue;
      try {
        const regime = parse("regime", name);
        next.set(key, known.get(key) ?? { regime: name, law: laws(panel, state, regime, words), job: job(panel, state, regime, words) });
        pending.push(next.get(key));
      } catch (error) {
        if (!(error instanceof Refused)) throw error;
        problems.push(`${name} is not drawn. ${error.message}.`);
      }
    }
    known = next;
    timing.computed = pending.filter((entry) => entry.job).map((entry) => entry.regime);
    const work = () => {
      if (mine !== round) return;
      const until = performance.now() + SLICE;
      for (const entry of pending) {
        if (entry.job && !entry.job.advance(until)) {
          root.setAttribute("aria-busy", "true");
          setTimeout(work, 0);
          return;
        }
        if (entry.job) {
          entry.result = entry.job.result;
          entry.all = Object.fromEntries(kind.series.map((s) => [s, summary(entry.result[s], entry.result.runs)]));
          delete entry.job;
        }
      }
      for (const { regime, result } of pending) {
        if (result.runs === state.runs) continue;
        problems.push(`${regime} draws every sample by itself, which takes long at this n: ${result.runs} runs instead of ${state.runs}.`);
      }
      root.removeAttribute("aria-busy");
      curves = pending;
      curves.forEach((c, k) => (c.variant = k > 0 && styleName(c.regime) === styleName(curves[0].regime)));
      timing.compute = performance.now() - began;
      draw();
      if (!first) tell();
    };
    work();
  }

  // ---- drawing
  let movers = [];
  let width = 0;
  const settledAt = (name) =>
    curves
      .map((c) => `${c.regime}: median ${say(c.all[name].median.at(-1))} at generation ${state.generations}.`)
      .join(" ");

  function draw() {
    const began = performance.now();
    width = charts.clientWidth || 640;
    const narrow = holders[1].clientWidth || width;
    movers = kind.draw(holders, width, narrow, curves, settledAt);
    legend.replaceChildren(
      ...curves.map((c) => make("li", {}, swatch(c.regime), `${c.regime}${c.variant ? " (dashed, hollow)" : ""}`)),
      make("li", {}, lawSwatch("law"), "exact law"),
      ...(curves.some((c) => c.law.typical) ? [make("li", {}, lawSwatch("law typical"), "exact geometric mean")] : []),
    );
    message.textContent = problems.join(" ");
    moveTo(state.t, false);
    timing.draw = performance.now() - began;
  }

  function moveTo(t, tells = true) {
    state.t = Math.max(1, Math.min(state.generations, t));
    scrub.value = state.t;
    scrub.setAttribute("aria-valuetext", `generation ${state.t} of ${state.generations}`);
    scrubLabel.textContent = `generation ${state.t} of ${state.generations}`;
    for (const move of movers) move(state.t);
    const text = curves.map((c) => kind.sentence(c, state.t, words)).join(" ");
    kind.at(holders, holders[2].clientWidth || width, curves, state.t, timer ? "" : text, words);
    if (!timer) {
      said.textContent = curves.length ? `Generation ${state.t}, n = ${state.n}. ${text}` : "Nothing to draw.";
      fillTable();
      if (tells) tell();
    }
  }

  function fillTable() {
    if (!details.open) return;
    const last = state.generations;
    const shown = [...new Set([1, ...[0.1, 0.25, 0.5, 0.75, 1].map((f) => Math.max(1, Math.round(f * last))), state.t])];
    const body = make("tbody");
    for (const t of shown.sort((p, q) => p - q)) {
      for (const curve of curves) {
        const cells = kind.row(curve, t).map((text) => make("td", {}, text));
        body.append(make("tr", {}, make("th", { scope: "row" }, `${t}, ${curve.regime}`), ...cells));
      }
    }
    const head = ["generation, regime", ...kind.head].map((text) => make("th", { scope: "col" }, text));
    const caption = `n = ${state.n}, seed ${state.seed}${state.estimator ? `, estimator ${state.estimator}` : ""}`;
    table.replaceChildren(make("table", {}, make("caption", {}, caption), make("thead", {}, make("tr", {}, ...head)), body));
  }

  // ---- playing: never unasked, and in ten jumps instead of a movement for readers who want less motion
  let timer = 0;
  function start() {
    const jump = calm.matches ? Math.max(1, Math.ceil(state.generations / 10)) : 1;
    const pace = calm.matches ? 1000 : Math.max(33, Math.min(250, 8000 / state.generations));
    if (state.t >= state.generations) moveTo(1, false);
    timer = setInterval(() => {
      moveTo(state.t + jump);
      if (state.t >= state.generations) pause();
    }, pace);
    named(play, "Pause");
  }

  function pause() {
    if (!timer) return;
    clearInterval(timer);
    timer = 0;
    named(play, "Play");
    moveTo(state.t);
  }

  const resized = new ResizeObserver(() => {
    if (Math.abs((charts.clientWidth || 640) - width) > 1) draw();
  });
  const readdressed = () => {
    const given = fromAddress();
    if (Object.keys(given).length) set(given);
  };
  if (link) {
    state = settings(panel, { ...state, t: undefined, ...fromAddress() }, complain);
    window.addEventListener("hashchange", readdressed);
    window.addEventListener(READDRESSED, nameLink);
  }
  update(true);
  if (document.readyState === "complete") nameLink();
  else window.addEventListener("load", nameLink);
  resized.observe(charts);

  return {
    get: () => ({ ...state }),
    set: (given) => set(given),
    timing,
    destroy() {
      pause();
      round++;
      clearTimeout(later);
      cancelAnimationFrame(frame);
      resized.disconnect();
      window.removeEventListener("hashchange", readdressed);
      window.removeEventListener(READDRESSED, nameLink);
      window.removeEventListener("load", nameLink);
      element.replaceChildren();
    },
  };
}

// As an anywidget: the traits of lib.chapter.explorer.Explorer are the settings, in both directions.
function render({ model, el }) {
  const panel = model.get("panel");
  const names = Object.keys(SETTINGS[panel]);
  const given = () => Object.fromEntries(names.map((name) => [name, model.get(name)]));
  const handle = mount(el, {
    panel,
    settings: given(),
    words: model.get("words"),
    onchange(state) {
      for (const [name, value] of Object.entries(state)) model.set(name, value);
      model.save_changes();
    },
  });
  // A change of several settings is announced one by one, and what lies between belongs to no state: wait until all are there. Then
  // only what differs is passed on, so that the generation that is looked at follows their number here too.
  let waiting = false;
  const follow = () => {
    if (waiting) return;
    waiting = true;
    queueMicrotask(() => {
      waiting = false;
      const now = handle.get();
      const news = Object.entries(given()).filter(([name, value]) => now[name] !== value);
      if (!ended && news.length) handle.set(Object.fromEntries(news));
    });
  };
  for (const name of names) model.on(`change:${name}`, follow);
  // A notebook takes plain keys for commands wherever the focus is not in a text field: an arrow on a slider would go to the next
  // cell, and d d would delete this one. It may listen on its way down to the control, hence the window.
  const own = (event) => {
    const plain = !event.ctrlKey && !event.metaKey && !event.altKey;
    if (plain && event.composedPath().includes(el)) event.stopPropagation();
  };
  window.addEventListener("keydown", own, true);
  let ended = false;
  return () => {
    ended = true;
    window.removeEventListener("keydown", own, true);
    for (const name of names) model.off(`change:${name}`, follow);
    handle.destroy();
  };
}

export default { render };
