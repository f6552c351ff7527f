// The explorer's view: its controls, charts and words. `mount(element, options)` builds a panel on a page of the book.
// Regimes look as lib/chapter/looks.py says.

import { CSS, LOOKS } from "./tables.js";
import {
  GRID, NONE, Refused, SERIES, densities, job, label, laws, namesOf, refuse, settings, short, summary,
} from "./engine.js";

const MARKS = {
  o: "M-3.4,0a3.4,3.4 0 1,0 6.8,0a3.4,3.4 0 1,0 -6.8,0Z",
  s: "M-3,-3H3V3H-3Z",
  h: "M0,-3.8L3.3,-1.9V1.9L0,3.8L-3.3,1.9V-1.9Z",
  D: "M0,-4.2L4.2,0L0,4.2L-4.2,0Z",
  "^": "M0,-3.8L3.7,3H-3.7Z",
  v: "M0,3.8L3.7,-3H-3.7Z",
  "<": "M-3.8,0L3,-3.7V3.7Z",
  P: "M-1.3,-3.8H1.3V-1.3H3.8V1.3H1.3V3.8H-1.3V1.3H-3.8V-1.3H-1.3Z",
  X: "M-3.6,-1.9L-1.9,-3.6L0,-1.7L1.9,-3.6L3.6,-1.9L1.7,0L3.6,1.9L1.9,3.6L0,1.7L-1.9,3.6L-3.6,1.9L-1.7,0Z",
  x: "M-3.6,-3L-3,-3.6L0,-0.6L3,-3.6L3.6,-3L0.6,0L3.6,3L3,3.6L0,0.6L-3,3.6L-3.6,3L-0.6,0Z",
  "*": "M0,-4.4L1.1,-1.4L4.2,-1.4L1.7,0.5L2.6,3.6L0,1.7L-2.6,3.6L-1.7,0.5L-4.2,-1.4L-1.1,-1.4Z",
};

// The colour of a regime; lib/chapter/explorer.py writes one for each family into the style sheet, for either ground.
const inkOf = ({ family }) => `var(--${family.replace(/\W+/g, "-")})`;

// ---------------------------------------------------------------- charts

// A name no other element of the page has.
let made = 0;
const unique = () => `explorer-${++made}`;

const [LEFT, RIGHT, TOP, BOTTOM] = [56, 14, 24, 36]; // around what is drawn

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

function linearTicks(low, high, count, whole = false) {
  const step = Math.max(rounded((high - low || 1) / count), whole ? 1 : 0);
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
function rounded(x, down = false) {
  const power = 10 ** Math.floor(Math.log10(x));
  if (down) return power * [5, 2, 1].find((k) => k * power <= x * 1.0001);
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
    const said = say(Number(v.toPrecision(6)));
    parts.push(`<text x="${at}" y="${height - BOTTOM + 17}" text-anchor="middle">${said}</text>`);
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

// The lines of one regime against the generation: band, mean over runs, median with markers. `variant` marks a second
// regime of the same kind, which has the same colour.
function trajectory(frame, ts, { regime, stats, variant, average }) {
  const ink = inkOf(regime);
  const look = LOOKS[regime.family];
  const every = Math.max(1, Math.floor(ts.length / 8));
  let marks = "";
  for (let i = 0; i < ts.length; i += every) {
    const at = `${frame.px(ts[i]).toFixed(1)},${frame.py(stats.median[i]).toFixed(1)}`;
    const paint = variant ? `class="hollow" stroke="${ink}"` : `fill="${ink}"`;
    marks += `<path ${paint} d="${MARKS[look.marker]}" transform="translate(${at})"/>`;
  }
  return (
    `<path class="band" d="${bandPath(frame, ts, stats.low, stats.high)}" fill="${ink}"/>` +
    (average ? `<path class="average" d="${path(frame, ts, stats.average)}" stroke="${ink}"/>` : "") +
    middle(path(frame, ts, stats.median), regime, variant) +
    marks
  );
}

function middle(d, regime, variant) {
  const dash = variant ? "5 2" : LOOKS[regime.family].dash;
  return `<path class="middle" d="${d}" stroke="${inkOf(regime)}" stroke-dasharray="${dash}"/>`;
}

// A drawing in its place, with the parts of it that may not leave a rectangle.
function put(holder, { width, height, svg }, description, clips, drawn) {
  const defined = Object.entries(clips).map(
    ([id, [margin, wide]]) =>
      `<clipPath id="${id}"><rect x="${LEFT - margin}" y="${TOP - margin}" width="${wide}" ` +
      `height="${height - TOP - BOTTOM + 2 * margin}"/></clipPath>`,
  );
  holder.innerHTML =
    `<svg role="img" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">` +
    `<defs>${defined.join("")}</defs>${svg}${drawn}</svg>`;
  holder.firstChild.setAttribute("aria-label", description);
}

// A chart against the generation: all of it faintly, and what has happened up to generation t in full. Returns what
// moves t.
function overTime(holder, height, range, name, curves, description) {
  const width = holder.clientWidth || 640;
  const generations = curves.length ? curves[0].stats.median.length : 2;
  const ts = Float64Array.from({ length: generations }, (_, i) => i + 1);
  const ticks = linearTicks(1, generations, width < 480 ? 4 : 8, true);
  if (ticks[0] > 1 && ticks[0] > 0.08 * generations) ticks.unshift(1);
  const frame = axes(width, height, { low: 1, high: generations, ticks }, range, { x: "generation", y: name });
  const [all, now] = [unique(), unique()];
  const drawn = curves.map((curve) => trajectory(frame, ts, curve)).join("");
  let exact = "";
  for (const { laws, typical } of curves) {
    for (const line of laws) exact += `<path class="law" d="${path(frame, ts, line)}"/>`;
    if (typical) exact += `<path class="law typical" d="${path(frame, ts, typical)}"/>`;
  }
  put(
    holder,
    frame,
    description,
    { [all]: [5, width - LEFT - RIGHT + 10], [now]: [5, 0] },
    `<g class="ghost" clip-path="url(#${all})">${drawn}</g><g clip-path="url(#${now})">${drawn}</g>` +
      `<g clip-path="url(#${all})">${exact}</g><line class="cursor" y1="${TOP}" y2="${height - BOTTOM}"/>`,
  );
  const shown = holder.querySelector(`[id="${now}"] rect`);
  const cursor = holder.querySelector(".cursor");
  return (t) => {
    const at = frame.px(t);
    shown.setAttribute("width", (at - LEFT + 10).toFixed(1));
    for (const end of ["x1", "x2"]) cursor.setAttribute(end, at.toFixed(1));
  };
}

function densityPath(frame, mean, variance) {
  const deviation = Math.sqrt(variance);
  const xs = [];
  for (let k = -40; k <= 40; k++) xs.push(mean + (k / 10) * deviation);
  const ys = xs.map((x) => Math.exp((-0.5 * (x - mean) ** 2) / variance) / Math.sqrt(2 * Math.PI * variance));
  return path(frame, xs, ys);
}

const HIGHEST = 1.2; // three times the truth's density; a fit that has collapsed leaves the frame

function densityChart(holder, height, curves, t, description) {
  const width = holder.clientWidth || 640;
  const x = { low: -3.5, high: 3.5, ticks: [-3, -2, -1, 0, 1, 2, 3] };
  const frame = axes(width, height, x, { low: 0, high: HIGHEST, ticks: [0, 0.4, 0.8, 1.2] }, {
    x: "value, in standard deviations of the truth",
    y: `fitted density, generation ${t}`,
  });
  const id = unique();
  let drawn = "";
  for (const { regime, result, all, variant } of curves) {
    const d = densities(result, all, t);
    const from = (t - 1) * result.runs;
    drawn += `<path class="band" d="${bandPath(frame, GRID, d.low, d.high)}" fill="${inkOf(regime)}"/>`;
    for (let k = from; k < from + Math.min(5, result.runs); k++) {
      const one = densityPath(frame, result.mean[k], result.variance[k]);
      drawn += `<path class="single" d="${one}" stroke="${inkOf(regime)}"/>`;
    }
    drawn += middle(densityPath(frame, d.mean, d.variance), regime, variant);
  }
  drawn += `<path class="law" d="${densityPath(frame, 0, 1)}"/>`;
  put(holder, frame, description, { [id]: [0, width - LEFT - RIGHT] }, `<g clip-path="url(#${id})">${drawn}</g>`);
}

// A logarithmic range that holds all values and [low, high] besides, over 30 decades at most.
function logRange(lists, low, high) {
  for (const list of lists) {
    for (const value of list) {
      if (value > 0 && value < low) low = value;
      if (value > high) high = value;
    }
  }
  low = rounded(Math.max(low, high * 1e-30), true);
  high = rounded(high);
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

function row(text, control, after = null) {
  control.id = unique();
  if (after) after.setAttribute("for", control.id);
  const name = make("label", { for: control.id }, text);
  return make("div", { class: after ? "field" : "field long" }, name, control, ...(after ? [after] : []));
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

function regimeControls(title, swatch, optional, changed) {
  const names = [...(optional ? [NONE] : []), ...Object.keys(LOOKS)];
  const menu = make("select", {}, ...names.map((name) => make("option", { value: name }, name)));
  const about = make("p", { class: "about" });
  const holder = make("div");
  about.id = unique();
  menu.setAttribute("aria-describedby", about.id);
  let shares = {};
  const build = (family, regime = {}) => {
    menu.value = family;
    shares = {};
    for (const [key, { text, start, other }] of Object.entries(LOOKS[family]?.controls ?? {})) {
      shares[key] = slider(text, HUNDREDTHS.filter((value) => value !== other), moved(key), short);
      shares[key].write(regime[key] ?? start);
    }
    holder.replaceChildren(...Object.values(shares).map((share) => share.element));
    about.textContent = LOOKS[family]?.about ?? "No second regime to compare with.";
  };
  // The shares of a mixture sum to 1, and what β and γ leave goes to the newest model: if one grows too large the other
  // gives way.
  const moved = (key) => () => {
    const other = { beta: "gamma", gamma: "beta" }[key];
    const rest = Math.round(100 * (1 - shares[key].read())) / 100;
    if (other && shares[other].read() > rest) shares[other].write(rest);
    changed();
  };
  menu.addEventListener("change", () => {
    build(menu.value);
    changed();
  });
  const read = () => {
    if (menu.value === NONE) return NONE;
    const chosen = Object.entries(shares).map(([key, share]) => [key, share.read()]);
    return { family: menu.value, ...Object.fromEntries(chosen) };
  };
  return {
    element: make("fieldset", {}, make("legend", {}, swatch, ` ${title}`), row("regime", menu), about, holder),
    read,
    write(regime) {
      if (same(read(), regime) && about.textContent) return; // a slider that is being moved stays as it is
      build(regime.family ?? NONE, regime);
    },
  };
}

// Whether two settings are equal: numbers, words and regimes, whose shares stand in one order.
const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

// ---------------------------------------------------------------- the two panels

const series = (least, most, steps = [1, 2, 5]) => {
  const out = [];
  for (let power = 1; power <= most; power *= 10) for (const k of steps) out.push(k * power);
  return out.filter((v) => v >= least && v <= most);
};
const SIZES = series(10, 1e6, [1, 1.5, 2, 3, 5, 7]);
const GENERATIONS = [2, 5, 10, 20, 30, 50, 75, 100, 150, 200, 300, 400, 500];

const told = {
  median: (name) => (c, i) => say(c.all[name].median[i]),
  band: (name) => (c, i) => `${say(c.all[name].low[i])} to ${say(c.all[name].high[i])}`,
  mean: (name) => (c, i) => say(c.all[name].average[i]),
  law: (name, f = (v) => v) => (c, i) => (c.law[name] ? say(f(c.law[name][i])) : "not known"),
};
const extremes = (lists) => [
  lists.reduce((least, list) => list.reduce((a, b) => Math.min(a, b), least), Infinity),
  lists.reduce((most, list) => list.reduce((a, b) => Math.max(a, b), most), -Infinity),
];

// Of each panel: its charts against the generation, with the laws that are drawn and the range of the axis; what is
// drawn of the generation that is looked at; what is said of it; and the columns of the table.
const PANELS = {
  gaussian: {
    name: "the Gaussian",
    runs: series(10, 5000),
    keys:
      "Thick: the median over runs, and in the density the fit that has the medians of mean and variance. Band: " +
      "5 to 95% of runs. Dotted: the mean over runs. Thin, in the colour of the text: the exact law, that is, " +
      "the mean of the variance, the root mean square of the drift on both sides, and the true density; dashed, " +
      "where it is known, the geometric mean of the variance. Thin and coloured, in the density: the first five " +
      "runs.",
    layout: "charts three",
    charts: [
      {
        score: "variance",
        height: 250,
        name: "variance of the fit (truth = 1)",
        about: "Variance of the fit against the generation, logarithmic.",
        average: true,
        laws: (law) => [law.variance],
        range: (lists) => logRange(lists, 0.5, 2),
      },
      {
        score: "mean",
        height: 230,
        name: "drift of the mean (in σ of the truth)",
        about: "Drift of the fitted mean against the generation.",
        laws: ({ error }) => (error ? [error.map(Math.sqrt), error.map((e) => -Math.sqrt(e))] : []),
        range(lists) {
          const [low, high] = extremes(lists);
          const most = rounded(1.02 * Math.max(0.1, -low, high));
          return { low: -most, high: most, ticks: linearTicks(-most, most, 5) };
        },
      },
    ],
    at([, , holder], curves, t, said) {
      densityChart(holder, 230, curves, t, `Fitted densities at generation ${t}, against the true one. ${said}`);
    },
    sentence(curve, i) {
      const { runs, mean } = curve.result;
      const drift = mean.subarray(i * runs, (i + 1) * runs);
      const root = Math.sqrt(drift.reduce((sum, m) => sum + m * m, 0) / runs);
      const exact = told.law("variance")(curve, i);
      return (
        `${curve.name}: median variance ${told.median("variance")(curve, i)} of the truth's ` +
        `(5 to 95% of ${runs} runs: ${told.band("variance")(curve, i)})` +
        `${curve.law.variance ? `, exact mean ${exact}` : ", no closed form known"}; ` +
        `the mean is off by ${say(root)} σ (root mean square` +
        `${curve.law.error ? `, exactly ${told.law("error", Math.sqrt)(curve, i)}` : ""}).`
      );
    },
    columns: [
      ["median variance", told.median("variance")],
      ["5 to 95%", told.band("variance")],
      ["mean", told.mean("variance")],
      ["exact mean", told.law("variance")],
      ["median drift", told.median("mean")],
      ["5 to 95%", told.band("mean")],
      ["exact r.m.s.", told.law("error", Math.sqrt)],
    ],
  },
  words: {
    name: "words",
    runs: series(2, 500),
    keys:
      "Thick: the median over runs. Band: 5 to 95% of runs. Dotted: the mean over runs. Thin, in the colour of " +
      "the text: the exact law of the mean. For the number of words it is known here when everything is thrown " +
      "away, when everything is kept and for real data; diversity has one nearly everywhere.",
    layout: "charts two",
    charts: [
      {
        score: "support",
        height: 240,
        name: "words a model can still say",
        about: "Number of words that a model can still say against the generation, logarithmic.",
        average: true,
        laws: (law) => [law.support],
        range(lists) {
          const [low, high] = lists.length ? extremes(lists) : [1, 1000];
          return logRange([], Math.max(1, low), Math.max(high, 1.5 * low));
        },
      },
      {
        score: "diversity",
        height: 240,
        name: "diversity (truth = 1)",
        about: "Diversity, the chance that two words differ, against the generation.",
        average: true,
        laws: (law) => [law.diversity],
        range: () => ({ low: 0, high: 1.1, ticks: [0, 0.2, 0.4, 0.6, 0.8, 1] }),
      },
    ],
    at([, , ...holders], curves, t, said, words) {
      holders.forEach((holder, k) => {
        const curve = curves[k];
        if (!curve) return holder.replaceChildren();
        const list = make("ul");
        words.shown.forEach(([, name], rank) => {
          const [there, before] = [isThere(curve, words, rank, t), isThere(curve, words, rank, t - 1)];
          const kind = there ? null : before ? "lost new" : "lost";
          list.append(make("li", { class: kind }, there ? name : make("del", {}, name)));
        });
        const title = `${curve.name}, first run: ${left(curve, words, t)} of ${words.shown.length}`;
        return holder.replaceChildren(make("p", { class: "title" }, swatch(curve.regime), ` ${title}`), list);
      });
      holders[0].parentElement.classList.toggle("both", curves.length > 1);
    },
    sentence(curve, i, words) {
      const lost = words.shown
        .filter((_, k) => isThere(curve, words, k, i) && !isThere(curve, words, k, i + 1))
        .map(([, name]) => name);
      const news = `, lost at this generation: ${lost.slice(0, 4).join(", ")}${lost.length > 4 ? " …" : ""}`;
      const exact = told.law("support")(curve, i);
      return (
        `${curve.name}: a model can still say a median of ${told.median("support")(curve, i)} words ` +
        `(5 to 95% of ${curve.result.runs} runs: ${told.band("support")(curve, i)}` +
        `${curve.law.support ? `; exact mean ${exact}` : ""}); ` +
        `${left(curve, words, i + 1)} of the ${words.shown.length} words shown are left in the first run` +
        `${lost.length ? news : ""}.`
      );
    },
    columns: [
      ["median words", told.median("support")],
      ["5 to 95%", told.band("support")],
      ["mean", told.mean("support")],
      ["exact mean", told.law("support")],
      ["median diversity", told.median("diversity")],
      ["mean", told.mean("diversity")],
      ["exact mean", told.law("diversity")],
    ],
  },
};

// Whether the first run can still say a word that is shown at generation t; before the first, all can be.
function isThere({ result }, { shown }, k, t) {
  return t < 1 || result.present[(t - 1) * shown.length + k] > 0;
}

const left = (curve, words, t) => words.shown.filter((_, k) => isThere(curve, words, k, t)).length;

function swatch(regime) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  for (const [name, value] of [["width", 30], ["height", 12], ["aria-hidden", "true"]]) svg.setAttribute(name, value);
  svg.style.display = "inline-block";
  if (regime === NONE) return svg;
  const { marker, dash } = LOOKS[regime.family];
  const ink = inkOf(regime);
  svg.innerHTML =
    `<path d="M1,6H29" style="stroke:${ink}" stroke-width="2" stroke-dasharray="${dash}"/>` +
    `<path d="${MARKS[marker]}" style="fill:${ink}" transform="translate(15,6)"/>`;
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
  const size = 'width="16" height="16" viewBox="0 0 16 16"';
  button.innerHTML = `<svg ${size} aria-hidden="true"><path d="${ICONS[name]}"/></svg>`;
  for (const attribute of ["aria-label", "title"]) button.setAttribute(attribute, name);
  return button;
}

function lawSwatch(kind) {
  const svg = swatch(NONE);
  svg.innerHTML = `<path class="${kind}" d="M1,6H29"/>`;
  return svg;
}

// ---------------------------------------------------------------- mounting

const READDRESSED = "explorer-readdressed"; // a panel has changed the page's address, which holds the state of all
const SLICE = 60; // milliseconds of work before the page gets its turn

// Build a panel in `element`, in place of what is there. Options: `panel` ("gaussian" or "words"), `settings`, `words`
// (the table of frequencies), `link` (keep the state in the address of the page). Returns a handle with get(),
// set(settings), destroy(), and which regimes the last change computed anew.
export function mount(element, options = {}) {
  const { panel = "gaussian", words = null, link = false } = options;
  let problems = [];
  const complain = (text) => problems.push(text);
  let state = settings(panel, options.settings ?? {}, complain);
  const kind = PANELS[panel];
  const calm = window.matchMedia("(prefers-reduced-motion: reduce)");
  const isWords = panel === "words";
  const own = isWords ? "words." : ""; // before its settings in the address
  if (isWords && !words) refuse("words", words, "a table of frequencies");

  // ---- what is on the page
  const slots = { a: make("span"), b: make("span") };
  const controls = {
    a: regimeControls("First regime", slots.a, false, schedule),
    b: regimeControls("Second regime", slots.b, true, schedule),
    n: slider("samples n", SIZES, schedule),
    runs: slider("runs", kind.runs, schedule),
    generations: slider("generations", GENERATIONS, schedule),
  };
  if (!isWords) {
    const menu = make(
      "select",
      { onchange: schedule },
      make("option", { value: "mle" }, "MLE: 1/N"),
      make("option", { value: "unbiased" }, "unbiased: 1/(N−1)"),
    );
    controls.estimator = { element: row("estimator", menu), read: () => menu.value, write: (v) => (menu.value = v) };
  }
  const seed = make("input", { type: "number", class: "seed", min: 0, max: 2 ** 32 - 1, step: 1 });
  let typing = false; // a redraw that was asked for before takes nothing away from what is being typed
  seed.oninput = () => (typing = true);
  seed.onblur = () => (typing = false); // also where the value ends as it was, which is no change
  seed.onchange = () => ((typing = false), schedule());
  controls.seed = { read: () => seed.value, write: (value) => typing || (seed.value = value) };
  const seedRow = row("seed", seed);
  const drawAgain = () => set({ seed: (state.seed + 1) % 2 ** 32 });
  const again = make("button", { type: "button", onclick: drawAgain }, "Draw again");
  seedRow.append(make("span", { class: "line" }, seed, again));
  const rest = ["n", "runs", "generations", "estimator"].flatMap((key) => controls[key]?.element ?? []);
  const form = make(
    "form",
    { class: "controls", onsubmit: (event) => event.preventDefault() },
    controls.a.element,
    controls.b.element,
    make(
      "fieldset",
      { class: "wide" },
      make("legend", {}, "Samples and runs"),
      make("div", { class: "fields" }, ...rest, seedRow),
    ),
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
  const holders = Array.from({ length: isWords ? 4 : 3 }, () => make("div"));
  const charts = make("div", { class: kind.layout }, ...(isWords ? holders.slice(0, 2) : holders));
  const lists = isWords ? [make("div", { class: "words" }, ...holders.slice(2))] : [];
  const said = make("p", { class: "said", role: "status", "aria-live": "polite" });
  const message = make("p", { class: "message", role: "alert" });
  const table = make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `Numbers: ${kind.name}` });
  const details = make("details", { ontoggle: fillTable }, make("summary", {}, "The numbers as a table"), table);
  const address = make("a", { href: "#" }, "Link to this state");
  const copied = make("span", { role: "status" });
  const copy = make("button", { type: "button", onclick: () => copyLink() }, "Copy link");
  const share = link ? [make("p", { class: "line share" }, address, copy, copied)] : [];
  const root = make(
    "section",
    { class: "explorer", "aria-label": `Explorer: ${kind.name}` },
    make("style", {}, CSS),
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
    frame ||= requestAnimationFrame(() => {
      frame = 0;
      become(readControls());
    });
  }

  function set(given) {
    const whole = { ...state, ...given };
    if (given.t === undefined && (state.t === state.generations || whole.t > whole.generations)) delete whole.t;
    become(whole);
  }

  function become(given) {
    problems = [];
    state = settings(panel, given, complain);
    update();
  }

  // What the address says: of each panel its settings, of a regime the family and, after a dot, its shares.
  function inAddress() {
    const text = window.location.hash.slice(1);
    return new URLSearchParams(text.includes("=") ? text : ""); // else it is an anchor of the page
  }

  const isOwn = (key) => (own ? key.startsWith(own) : !key.startsWith("words."));

  function fromAddress() {
    const given = {};
    for (const [key, value] of inAddress()) {
      if (!isOwn(key)) continue;
      const [name, share = "family"] = key.slice(own.length).split(".");
      if (name === "a" || name === "b") given[name] = { ...given[name], [share]: value };
      else given[key.slice(own.length)] = value;
    }
    return given;
  }

  function hash() {
    const mine = Object.entries(state).flatMap(([name, value]) => {
      if (!value.family) return [[own + name, value]];
      const { family, ...shares } = value;
      return [[own + name, family], ...Object.entries(shares).map(([key, share]) => [`${own}${name}.${key}`, share])];
    });
    const others = [...inAddress()].filter(([key]) => !isOwn(key));
    return `#${new URLSearchParams(isWords ? [...others, ...mine] : [...mine, ...others])}`;
  }

  let later = 0;
  function tell() {
    clearTimeout(later);
    later = setTimeout(() => {
      if (link) {
        window.history.replaceState(window.history.state, "", hash());
        window.dispatchEvent(new Event(READDRESSED));
      }
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
  let computed = [];
  let round = 0;

  function update(first = false) {
    pause();
    show();
    const mine = ++round;
    const next = new Map();
    for (const regime of [state.a, state.b]) {
      if (regime === NONE) continue;
      const key = JSON.stringify([regime, state.n, state.runs, state.generations, state.seed, state.estimator]);
      try {
        const entry = { regime, name: label(regime) };
        const work = () => ({ law: laws(panel, state, regime, words), job: job(panel, state, regime, words) });
        next.set(key, next.get(key) ?? known.get(key) ?? { ...entry, ...work() });
      } catch (error) {
        if (!(error instanceof Refused)) throw error;
        problems.push(`${label(regime)} is not drawn. ${error.message}.`);
      }
    }
    known = next;
    const pending = [...next.values()];
    computed = pending.filter((entry) => entry.job).map((entry) => entry.name);
    const work = () => {
      if (mine !== round) return;
      const until = performance.now() + SLICE;
      for (const entry of pending) {
        if (!entry.job) continue;
        if (!entry.job.advance(until)) {
          root.setAttribute("aria-busy", "true");
          setTimeout(work, 0);
          return;
        }
        const result = (entry.result = entry.job.result);
        entry.all = Object.fromEntries(SERIES[panel].map((s) => [s, summary(result[s], result.runs)]));
        delete entry.job;
      }
      for (const { name, result } of pending) {
        if (result.runs === state.runs) continue;
        const instead = `${result.runs} runs instead of ${state.runs}`;
        problems.push(`${name} draws every sample by itself, which takes long at this n: ${instead}.`);
      }
      root.removeAttribute("aria-busy");
      curves = pending;
      const colour = ({ regime }) => LOOKS[regime.family].color;
      curves.forEach((c, k) => (c.variant = k > 0 && colour(c) === colour(curves[0])));
      draw();
      if (!first) tell();
    };
    work();
  }

  // ---- drawing
  let movers = [];
  let width = 0;

  function draw() {
    width = charts.clientWidth || 640;
    movers = kind.charts.map((chart, k) => {
      const lines = curves.map(({ regime, variant, all, law }) => {
        const exact = chart.laws(law).filter((line) => line);
        const typical = chart.score === "variance" ? law.typical : null;
        return { regime, variant, stats: all[chart.score], laws: exact, typical, average: chart.average };
      });
      const lists = lines.flatMap((l) => [l.stats.low, l.stats.high, ...l.laws, ...(l.typical ? [l.typical] : [])]);
      const last = curves.map(
        (c) => `${c.name}: median ${say(c.all[chart.score].median.at(-1))} at generation ${state.generations}.`,
      );
      const description = [chart.about, ...last].join(" ");
      return overTime(holders[k], chart.height, chart.range(lists), chart.name, lines, description);
    });
    legend.replaceChildren(
      ...curves.map((c) => make("li", {}, swatch(c.regime), `${c.name}${c.variant ? " (dashed, hollow)" : ""}`)),
      make("li", {}, lawSwatch("law"), "exact law"),
      ...(curves.some((c) => c.law.typical) ? [make("li", {}, lawSwatch("law typical"), "exact geometric mean")] : []),
    );
    message.textContent = problems.join(" ");
    moveTo(state.t, false);
  }

  function moveTo(t, tells = true) {
    state.t = Math.max(1, Math.min(state.generations, t));
    scrub.value = state.t;
    scrub.setAttribute("aria-valuetext", `generation ${state.t} of ${state.generations}`);
    scrubLabel.textContent = `generation ${state.t} of ${state.generations}`;
    for (const move of movers) move(state.t);
    const text = curves.map((c) => kind.sentence(c, state.t - 1, words)).join(" ");
    kind.at(holders, curves, state.t, timer ? "" : text, words);
    if (!timer) {
      said.textContent = curves.length ? `Generation ${state.t}, n = ${state.n}. ${text}` : "Nothing to draw.";
      fillTable();
      if (tells) tell();
    }
  }

  function fillTable() {
    if (!details.open) return;
    const last = state.generations;
    const parts = [0.1, 0.25, 0.5, 0.75, 1].map((part) => Math.max(1, Math.round(part * last)));
    const shown = [...new Set([1, ...parts, state.t])];
    const body = make("tbody");
    for (const t of shown.sort((p, q) => p - q)) {
      for (const curve of curves) {
        const cells = kind.columns.map(([, tell]) => make("td", {}, tell(curve, t - 1)));
        body.append(make("tr", {}, make("th", { scope: "row" }, `${t}, ${curve.name}`), ...cells));
      }
    }
    const names = ["generation, regime", ...kind.columns.map(([name]) => name)];
    const head = make("tr", {}, ...names.map((name) => make("th", { scope: "col" }, name)));
    const caption = `n = ${state.n}, seed ${state.seed}${state.estimator ? `, estimator ${state.estimator}` : ""}`;
    table.replaceChildren(make("table", {}, make("caption", {}, caption), make("thead", {}, head), body));
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
    // While numbers are computed there is nothing to draw yet, and it will be drawn at this width.
    if (!root.hasAttribute("aria-busy") && Math.abs((charts.clientWidth || 640) - width) > 1) draw();
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
    set,
    computed: () => computed,
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
