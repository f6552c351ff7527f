// The explorer's engine: the recursion of the book, computed in the reader's browser; pure, with no page in it.
//
// Laws are those of lib.theory, samplers those of lib.worlds.gaussian and lib.worlds.discrete. Where a regime's law
// needs moments only, a batch is drawn as its mean and its scatter, which is exact in law and costs the same for every
// n; a regime that draws subsets again and again gets the points themselves. A regime is a plain object, its family and
// the shares that can be moved, such as { family: "Keep", share: 0.1 }; lib/chapter/explorer.py puts in the tables from
// lib/chapter/looks.py.

import { LOOKS, RANGES } from "./tables.js";

// ---------------------------------------------------------------- errors and settings

export class Refused extends Error {
  constructor(setting, value, allowed) {
    const said = typeof value === "string" ? `'${value}'` : JSON.stringify(value);
    super(`${setting}=${said} is not allowed: ${allowed}`);
    this.setting = setting;
  }
}

export function refuse(...reason) {
  throw new Refused(...reason);
}

const oneOf = (names) => `one of ${names.map((name) => `'${name}'`).join(", ")}`;
export const NONE = "none"; // no second regime
export const SERIES = { gaussian: ["variance", "mean"], words: ["support", "diversity"] };
const ESTIMATORS = ["mle", "unbiased"];

// The names of a panel's settings. `t` is the generation that is looked at.
export function namesOf(panel) {
  return ["a", "b", ...(panel === "gaussian" ? ["estimator"] : []), ...Object.keys(RANGES[panel]), "t"];
}

function whole(name, value, least, most) {
  const number = typeof value === "string" && value.trim() === "" ? NaN : Number(value);
  if (!Number.isInteger(number) || number < least || number > most) {
    refuse(name, value, `a whole number from ${least} to ${most}`);
  }
  return number;
}

// A regime, from its family and any of its shares as numbers or texts; what is left out starts as the menu does.
export function regimeOf(name, given) {
  const { family, ...shares } = typeof given === "string" ? { family: given } : given;
  if (!Object.hasOwn(LOOKS, family)) refuse(name, family, oneOf(Object.keys(LOOKS)));
  const { controls } = LOOKS[family];
  const unknown = Object.keys(shares).find((key) => !(key in controls));
  if (unknown) refuse(name, unknown, `a share of ${family}, ${oneOf(Object.keys(controls))}`);
  const regime = { family };
  for (const [key, { start, other }] of Object.entries(controls)) {
    const value = shares[key] ?? start;
    const share = value === "" ? NaN : Number(value);
    if (!(share >= 0 && share <= 1) || share === other) {
      refuse(key, value, `a share between 0 and 1${other === null ? "" : `, not ${other}`}`);
    }
    regime[key] = share;
  }
  if (newestOf(regime) < -1e-9) refuse("beta + gamma", regime.beta + regime.gamma, "shares that sum to 1 at most");
  return regime;
}

const newestOf = ({ beta = 0, gamma = 0 }) => 1 - beta - gamma;
export const short = (x) => String(Number(x.toPrecision(6)));

// The label of a regime, as lib.regimes writes it.
export function label(regime) {
  const values = { ...regime, alpha: Math.max(0, newestOf(regime)) };
  const said = LOOKS[regime.family].label.replace(/\{(\w+)\}/g, (_, name) => short(values[name]));
  return said.replace(" fresh, 1 kept", " fresh");
}

// All settings of a panel. What is left out has its default; what is wrong throws, or with `complain` is reported and
// replaced.
export function settings(panel, given = {}, complain = null) {
  if (!Object.hasOwn(RANGES, panel)) refuse("panel", panel, oneOf(Object.keys(RANGES)));
  const out = {};
  const answer = (name, start, work) => {
    try {
      out[name] = given[name] === undefined ? start : work(given[name]);
    } catch (error) {
      if (!(error instanceof Refused) || !complain) throw error;
      out[name] = start;
      complain(`${error.message}. ${start.family ?? start} is used.`);
    }
  };
  answer("a", regimeOf("a", "Replace"), (value) => regimeOf("a", value));
  answer("b", regimeOf("b", "Accumulate"), (value) => ((value.family ?? value) === NONE ? NONE : regimeOf("b", value)));
  if (panel === "gaussian") {
    answer("estimator", "mle", (value) =>
      ESTIMATORS.includes(value) ? value : refuse("estimator", value, oneOf(ESTIMATORS)),
    );
  }
  for (const [name, [least, most, start]] of Object.entries(RANGES[panel])) {
    answer(name, start, (value) => whole(name, value, least, most));
  }
  answer("t", out.generations, (value) => whole("t", value, 1, out.generations));
  for (const name of Object.keys(given)) {
    if (name in out) continue;
    if (!complain) refuse("setting", name, oneOf(namesOf(panel)));
    complain(`setting='${name}' is not allowed: ${oneOf(namesOf(panel))}. It is ignored.`);
  }
  return out;
}

// ---------------------------------------------------------------- what a regime asks for

// A share of n as a count, halves rounded up.
const portion = (share, n) => Math.min(n, Math.floor(share * n + 0.5));

// What a regime asks for at each generation of constant set size n, in counts. `newest` and `real` are functions of t;
// `original` and `previous` are samples redrawn from the first real set and from the training set before; `fixed` is
// kept from the first set throughout, and `union` of it where the pool keeps everything, else −1. A share that rounds
// to nothing, or to everything, is refused: it is another regime than the one asked for.
export function plan(regime, n) {
  const alpha = "beta" in regime ? { alpha: Math.max(0, newestOf(regime)) } : {};
  for (const [name, share] of Object.entries({ ...regime, ...alpha })) {
    if (share > 1e-9 && share < 1 - 1e-9 && [0, n].includes(portion(share, n))) {
      refuse(name, share, `a share that is at least one sample and leaves at least one out of n=${n}`);
    }
  }
  const none = () => 0;
  const base = { newest: () => n, real: none, original: 0, previous: 0, fixed: 0, union: -1, subsample: false };
  const part = portion(regime.share ?? regime.fresh ?? regime.gamma ?? 0, n);
  const mixed = { ...base, newest: () => n - part, real: () => part };
  switch (regime.family) {
    case "ReplaceGrown":
      return { ...base, newest: (t) => n * t };
    case "Accumulate":
    case "Accumulate, fresh":
    case "Accumulate, part kept":
      return { ...mixed, union: portion(regime.kept ?? 1, n) };
    case "AccumulateSubsample":
      return { ...base, subsample: true };
    case "Keep":
    case "Keep, fixed":
      if (part === n) return { ...base, newest: none, union: n };
      return { ...base, newest: () => n - part, [regime.family === "Keep" ? "original" : "fixed"]: part };
    case "FreshReal":
      return mixed;
    case "RealOnly":
      return { ...base, newest: none, real: () => n, union: n };
    case "RealOnly, refit":
      return { ...base, newest: none, union: n };
    case "Mixture":
    case "Mixture, fresh": {
      const previous = Math.min(portion(regime.beta, n), n - part);
      const fresh = regime.family === "Mixture, fresh";
      if (part === n && !fresh) return { ...base, newest: none, union: n };
      const newest = n - previous - part;
      return { ...base, newest: () => newest, previous, ...(fresh ? { real: () => part } : { original: part }) };
    }
    default:
      return base;
  }
}

const needsPoints = (p) => p.subsample || p.original > 0 || p.previous > 0;

// ---------------------------------------------------------------- exact laws (lib.theory)

// E[S_t], E[(μ_t − μ₀)²] and, where it is known in closed form, exp E[ln S_t], for t = 1 … generations, as
// lib.theory.gaussian has them; null where no closed form is known.
export function law(regime, n, generations, estimator) {
  const unbiased = estimator === "unbiased";
  const p = plan(regime, n); // refuses what cannot be
  const beside = (real, ...kept) => withReal(real, n, generations, unbiased, ...kept);
  switch (regime.family) {
    case "Replace":
    case "ReplaceGrown":
      return independentFits(generations, unbiased, p.newest);
    case "Accumulate":
    case "Accumulate, fresh":
    case "Accumulate, part kept":
      return accumulate(p.real(2) / n, p.union, n, generations, unbiased);
    case "AccumulateSubsample":
      return accumulateSubsample(n, generations, unbiased);
    case "RealOnly":
      return independentFits(generations, unbiased, (t) => n * t, false);
    case "RealOnly, refit":
      return independentFits(generations, unbiased, () => n, false);
    case "FreshReal":
      return beside(portion(regime.share, n), 1 / n, 1, (r) => 1 / r);
    case "Keep":
      return mixture({ beta: 0, gamma: regime.share }, n, generations, unbiased);
    case "Keep, fixed": {
      const r = portion(regime.share, n);
      if (r === 0) return independentFits(generations, unbiased, () => n);
      const gap = 1 / r - 1 / n;
      const exact = beside(r, gap, 1 - 1 / r, () => 0);
      return { ...exact, error: exact.error.map((d, i) => 1 / r + d - 2 * (1 - r / n) ** i * gap) };
    }
    case "Mixture":
      return mixture(regime, n, generations, unbiased);
    default: // a mixture with new real data
      if (p.previous === 0) return law({ family: "FreshReal", share: regime.gamma }, n, generations, estimator);
      if (regime.gamma > 0) return { variance: null, error: null, typical: null };
      return mixture(regime, n, generations, unbiased);
  }
}

// The laws from `at(t)`, which says variance, error and, where it is known, geometric mean at one generation after the
// other.
function course(generations, at) {
  const rows = Array.from({ length: generations }, (_, i) => at(i + 1));
  const [variance, error, typical] = [0, 1, 2].map((k) => Float64Array.from(rows, (row) => row[k]));
  return { variance, error, typical: rows[0].length > 2 ? typical : null };
}

// Fits to samples of the model before, or all of them to real data.
function independentFits(generations, unbiased, size, chained = true) {
  let [v, e, logarithm] = [1, 0, 0];
  return course(generations, (t) => {
    const N = size(t);
    if (!chained) [v, e, logarithm] = [1, 0, 0];
    e += v / N;
    if (!unbiased) v *= 1 - 1 / N;
    logarithm += logDrift(N, unbiased);
    return [v, e, Math.exp(logarithm)];
  });
}

function accumulate(a, kept, n, generations, unbiased) {
  let [v, e, total, moment] = [unbiased ? 1 : 1 - 1 / n, 1 / n, kept, 1];
  let [pooled, cross] = [kept ? 1 / kept : 0, 1 / n];
  return course(generations, (t) => {
    if (t === 1) return [v, e];
    const w = n / (total + n);
    moment = (1 - w) * moment + w * ((1 - a) * (v + e) + a);
    const batch = (1 - a) ** 2 * e + ((1 - a) * v + a) / n;
    e = (1 - w) ** 2 * pooled + 2 * (1 - w) * w * (1 - a) * cross + w * w * batch;
    total += n;
    pooled = cross = e;
    v = (moment - e) * (unbiased ? total / (total - 1) : 1);
    return [v, e];
  });
}

function accumulateSubsample(n, generations, unbiased) {
  const c = unbiased ? 1 : 1 - 1 / n;
  let [pooled, centre] = [1, 1 / n];
  return course(generations, (t) => {
    if (t > 1) {
      centre += ((c + 1 - 1 / (t - 1)) * pooled) / (n * t * t);
      pooled *= 1 + (unbiased ? 1 - 3 / t : -(3 - 1 / n) / t) / (t * n - 1);
    }
    return [c * pooled, centre + ((1 - 1 / t) * pooled) / n];
  });
}

// r real samples beside n − r synthetic ones in each fit: variance, and squared distance of the mean from a centre.
function withReal(r, n, generations, unbiased, start, keptVariance, keptSpread) {
  const [s, a, b] = [n - r, r / n, unbiased ? n / (n - 1) : 1];
  let [v, d] = [unbiased ? 1 : 1 - 1 / n, start];
  return course(generations, (t) => {
    if (t === 1) return [v, d];
    const now = (s ? (1 - a) ** 2 * (d + v / s) : 0) + (r ? a * a * keptSpread(r) : 0);
    v = b * (a * keptVariance + (1 - a) * (v + d) - now);
    d = now;
    return [v, d];
  });
}

function mixture({ beta, gamma }, n, generations, unbiased) {
  const kept = portion(gamma, n) / n;
  const copied = Math.min(portion(beta, n), n - portion(gamma, n)) / n;
  const scale = unbiased ? n / (n - 1) : 1;
  let [v, d] = [1 - 1 / n, 0]; // the variance by maximum likelihood, and the mean's distance from the original mean
  return course(generations, () => {
    const now = [v * scale, 1 / n + d];
    const u = (n * v) / (n - 1);
    const w = unbiased ? u : v;
    const alpha = 1 - kept - copied;
    const next = (1 - kept) ** 2 * d + (kept * (1 - kept) + copied * (1 - copied) * u + alpha * w) / n;
    v = kept * (1 - 1 / n) + (1 - kept) * d + copied * v + alpha * w - next;
    d = next;
    return now;
  });
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

// Expected number of words that a model can still produce, t = 1 … generations, as lib.theory.discrete has it; null
// where no closed form is used. `words` is the table of frequencies.
export function supportLaw(regime, words, n, generations) {
  const p = plan(regime, n);
  if (regime.family === "RealOnly") {
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

// A state is lost with probability E[(1 − q)^A], with A the number of ancestors that the newest samples have among the
// real ones.
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

// What a stream is for. Each purpose has streams of its own, one for each time it is asked for in a run, and no stream
// depends on how much was drawn from another: where two regimes ask for the same draw, they get the same one.
const [REAL, SAMPLE, ROWS, SUBSET, COPIED, REAL_ROWS] = [0, 1, 2, 3, 4, 5];
const keys = new Int32Array(24);

// Begin a run. Seed, run and purpose are the state of a generator of keys; 15 rounds, as the author of sfc32 advises,
// take neighbours apart. More runs or generations change no other number.
function beginRun(seed, run) {
  for (let purpose = 0; purpose < 6; purpose++) {
    word.set([seed, run, purpose, 1]);
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

// The ziggurat of Marsaglia and Tsang (2000) with 128 layers, in the form of Doornik (2005), in which index and
// abscissa share no bits.
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

// Successes in n trials of probability p: by inversion where few are expected, else by transformed rejection (Hörmann
// 1993, BTRS).
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
  // Counts take as long as there are words that can be there: at most those that all real samples together will have
  // shown.
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

// A simulation that can be done in slices: `advance(until)` works until that time on the clock and says whether it is
// done. `result` holds a value for each generation and run, generation by generation.
export function job(panel, given, regime, words) {
  const { generations } = given;
  const p = plan(regime, given.n);
  const runs = affordable(panel, p, given, words);
  const result = { runs };
  for (const name of SERIES[panel]) result[name] = new Float64Array(generations * runs);
  // Whether each of the words that are shown is still there, in the first run, generation by generation.
  if (panel === "words") result.present = new Uint8Array(generations * words.shown.length);
  const one = (panel === "gaussian" ? gaussianRun : wordsRun)(p, given, words);
  let done = 0;
  return {
    result,
    advance(until = Infinity) {
      while (done < runs) {
        one(done++, result);
        if (performance.now() > until) break;
      }
      return done === runs;
    },
  };
}

// All runs of one or two regimes. Options are the settings of the panel; `regimes`, a list, may stand for a and b. For
// words, `words` is the table of frequencies. What is wrong throws. Returned: the settings, and for each regime itself,
// its number of runs, its laws and its results (Float64Array, generations × runs).
export function simulate({ panel = "gaussian", regimes, words = null, ...rest }) {
  const given = settings(panel, regimes ? { a: regimes[0], b: regimes[1] ?? NONE, ...rest } : rest);
  if (panel === "words" && !words) refuse("words", words, "a table of frequencies");
  const results = [given.a, given.b].filter((regime) => regime !== NONE).map((regime) => {
    const work = job(panel, given, regime, words);
    work.advance();
    return { regime, law: laws(panel, given, regime, words), ...work.result };
  });
  return { settings: given, results };
}

export function laws(panel, given, regime, words) {
  const exact = law(regime, given.n, given.generations, panel === "words" ? "mle" : given.estimator);
  // Σp(1 − p) is the variance, under maximum likelihood, of the indicators of the words: it obeys the same law.
  return panel === "words"
    ? { diversity: exact.variance, support: supportLaw(regime, words, given.n, given.generations) }
    : exact;
}

// ---- the Gaussian. A set is its size, mean and scatter (the sum of squares about the mean).

const set = new Float64Array(3);

function begin(into) {
  into[0] = into[1] = into[2] = 0;
}

function copy(into, from) {
  for (let i = 0; i < 3; i++) into[i] = from[i];
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

// One run. A composer has `start()`, which finds the first real set in `set`, and `next(t, m, v)`, which leaves there
// the training set of generation t after a fit of mean m and variance v.
function gaussianRun(p, given) {
  const { n, generations, seed, estimator } = given;
  const less = estimator === "unbiased" ? 1 : 0;
  const compose = (p.subsample ? fromPool : needsPoints(p) ? fromPoints : fromMoments)(p, given);
  return (run, { runs, variance, mean }) => {
    beginRun(seed, run);
    stream(REAL);
    begin(set);
    addDrawn(set, n, 0, 1); // the same in every regime
    let [m, v] = [0, 1];
    for (let t = 1, at = run; t <= generations; t++, at += runs) {
      if (t === 2) compose.start();
      if (t > 1) compose.next(t, m, v);
      m = mean[at] = set[1];
      v = variance[at] = set[2] / (set[0] - less);
    }
  };
}

// Of a regime for which moments are enough.
function fromMoments(p, { n }) {
  const kept = p.fixed || (p.union > 0 ? p.union : 0);
  const accumulates = p.union >= 0;
  const held = new Float64Array(3); // the kept part, or the union so far
  return {
    start() {
      begin(held);
      if (kept) stream(SUBSET);
      if (kept) addSubset(held, set, kept);
    },
    next(t, m, v) {
      copy(set, held);
      const [newest, real] = [p.newest(t), p.real(t)];
      if (newest) {
        stream(SAMPLE);
        addDrawn(set, newest, m, v);
      }
      if (real) {
        stream(REAL);
        addDrawn(set, real, 0, 1);
      }
      if (accumulates) copy(held, set);
    },
  };
}

// Fill rows from `start` to `end` with points of the given mean and scatter: standardised normal points do not depend
// on their mean and scatter (Basu), so points drawn after their moments have the law of points.
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

// Bring k of the first `size` rows, drawn without replacement, to the front. What is in a set does not depend on its
// order.
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

// Of a regime that fits n of all points so far.
function fromPool(p, { n, generations }) {
  const pool = new Float64Array(n * generations);
  return {
    start() {
      stream(ROWS);
      fillRows(pool, 0, n, set[1], set[2]);
    },
    next(t, m, v) {
      stream(SAMPLE);
      begin(set);
      addDrawn(set, n, m, v);
      stream(ROWS);
      fillRows(pool, n * (t - 1), n * t, set[1], set[2]);
      stream(SUBSET);
      bringForward(pool, n * t, n);
      momentsOf(pool, 0, n);
      copy(set, moments);
    },
  };
}

// Of a regime that draws again and again from the original points, or from those of the previous set. The latter are
// held as distances from the newest mean: they keep their digits when the variance is tiny.
function fromPoints(p, { n }) {
  const original = new Float64Array(n);
  let [previous, next] = p.previous ? [new Float64Array(n), new Float64Array(n)] : [null, null];
  return {
    start() {
      stream(ROWS);
      fillRows(original, 0, n, set[1], set[2]);
      if (previous) for (let i = 0; i < n; i++) previous[i] = original[i] - set[1];
    },
    next(t, m, v) {
      begin(set); // as distances from m
      let filled = 0;
      if (p.original) {
        stream(SUBSET);
        bringForward(original, n, p.original);
        momentsOf(original, 0, p.original);
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
      for (const [purpose, size, at, spread] of [[REAL, p.real(t), -m, 1], [SAMPLE, p.newest(t), 0, v]]) {
        if (!size) continue;
        stream(purpose);
        begin(moments);
        addDrawn(moments, size, at, spread);
        add(set, size, moments[1], moments[2]);
        if (!previous) continue;
        stream(purpose === REAL ? REAL_ROWS : ROWS);
        fillRows(next, filled, filled + size, moments[1], moments[2]);
        filled += size;
      }
      if (previous) for (let i = 0; i < n; i++) next[i] -= set[1];
      [previous, next] = [next, previous];
      set[1] += m;
    },
  };
}

// ---- words. A model says each word as often as its training set does.

// Words by their rank and how often each is there; `list` names those that are, `squares` is the sum of the squared
// counts.
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

// Of a table: every word of the text by its rank, one after the other, and the same as a bag.
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

// One run. A composer has `start(first)` and `next(t)`, which returns the training set of generation t, each a bag.
function wordsRun(p, given, words) {
  const { n, generations, seed } = given;
  const { bag, shown, ...real } = text(words);
  const first = new Bag(bag.length);
  const compose = (needsPoints(p) ? fromTokens : fromCounts)(p, given, { bag, ...real });
  const same = ({ squares, size }) => squares / size / size;
  const record = (run, t, fitted, { runs, support, diversity, present }) => {
    support[(t - 1) * runs + run] = fitted.length;
    diversity[(t - 1) * runs + run] = (1 - same(fitted)) / (1 - same(bag));
    if (run > 0) return;
    shown.forEach(([rank], k) => (present[(t - 1) * shown.length + k] = fitted.counts[rank] > 0 ? 1 : 0));
  };
  return (run, result) => {
    beginRun(seed, run);
    stream(REAL);
    first.clear();
    drawReal({ bag, ...real }, n, first);
    record(run, 1, first, result);
    compose.start(first);
    for (let t = 2; t <= generations; t++) record(run, t, compose.next(t), result);
  };
}

// Of a regime for which counts are enough.
function fromCounts(p, { n }, real) {
  const [kept, batch, other] = [0, 1, 2].map(() => new Bag(real.bag.length));
  const accumulates = p.union >= 0;
  const part = accumulates ? p.union : p.fixed;
  const each = part && part < n ? new Int32Array(n) : null;
  let model = null;
  return {
    start(first) {
      model = first;
      kept.clear();
      if (part === n) first.pour(kept);
      if (!each) return;
      stream(SUBSET);
      spread(first, each);
      bringForward(each, n, part);
      for (let i = 0; i < part; i++) kept.put(each[i], 1);
    },
    next(t) {
      const [newest, fresh] = [p.newest(t), p.real(t)];
      const into = accumulates || model !== batch ? batch : other;
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
      return (model = accumulates ? kept : into);
    },
  };
}

// Of a regime that draws subsets: every word by itself.
function fromTokens(p, { n, generations }, { bag, tokens }) {
  const fitted = new Bag(bag.length);
  const original = new Int32Array(n);
  // With a pool the newest training set is its front; without one each set takes the place of the one before.
  let [train, next] = p.subsample ? [new Int32Array(n * generations), null] : [new Int32Array(n), new Int32Array(n)];
  const fromPool = (t) => {
    stream(SAMPLE);
    for (let i = 0, held = n * (t - 1); i < n; i++) train[held++] = train[below(n)];
    stream(SUBSET);
    bringForward(train, n * t, n);
  };
  const fromParts = (t) => {
    let filled = 0;
    if (p.original) {
      stream(SUBSET);
      bringForward(original, n, p.original);
      for (; filled < p.original; filled++) next[filled] = original[filled];
    }
    stream(SAMPLE);
    for (let i = p.newest(t); i > 0; i--) next[filled++] = train[below(n)];
    stream(REAL);
    for (let i = p.real(t); i > 0; i--) next[filled++] = tokens[below(tokens.length)];
    if (p.previous) {
      // Last, because it brings words forward in the set that the model samples from.
      stream(COPIED);
      bringForward(train, n, p.previous);
      for (let i = 0; i < p.previous; i++) next[filled++] = train[i];
    }
    [train, next] = [next, train];
  };
  return {
    start(first) {
      spread(first, original);
      train.set(original);
    },
    next(t) {
      (p.subsample ? fromPool : fromParts)(t);
      fitted.clear();
      for (let i = 0; i < n; i++) fitted.put(train[i], 1);
      return fitted;
    },
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

export const GRID = Float64Array.from({ length: 141 }, (_, i) => -3.5 + i / 20);

// Fitted densities at one generation: the band of all runs at each point of the grid, and the medians of mean and
// variance.
export function densities(result, stats, t) {
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

