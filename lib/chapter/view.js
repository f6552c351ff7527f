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
