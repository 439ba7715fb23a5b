/* The interactive part of report.html and of pages about several runs. Without it a page is whole:
   tables are in its text.

   Texts of records reach the page as text nodes alone, so that a "<" in a name stays a "<". */
(() => {
"use strict";

const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

/** An element with properties, attributes (names with a dash, role, for) and children. */
function el(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in made && !name.includes("-")) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

/** The same in SVG. */
function draw(tag, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

let parsed;
/** What rows open to, and rows that are not in the page's text; read when first asked for. */
const data = () => (parsed ??= JSON.parse($("#data").textContent));

const live = el("p", { className: "vh", role: "status" });
document.body.append(live);
const say = (words) => { live.textContent = words; };

/** Copy a text; the button that asked for it says so for a moment. */
async function copy(text, words, asked) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = el("textarea", { value: text, className: "vh" });
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  say(words);
  if (!asked) return;
  const label = (asked.dataset.label ??= asked.textContent);
  asked.textContent = "✓ Copied";
  clearTimeout(Number(asked.dataset.back));
  asked.dataset.back = setTimeout(() => { asked.textContent = label; }, 2000);
}

function button(words, act, properties = {}) {
  const made = el("button", { type: "button", ...properties }, words);
  made.addEventListener("click", () => act(made));
  return made;
}

/** Whether the page is as wide as a phone (the same width as in page.css). */
const PHONE = matchMedia("(max-width: 40rem)");

/* Theme: the system's, unless a reader chooses. */

function theme() {
  const root = document.documentElement, place = $("#theme");
  const remember = (value) => { try { localStorage.setItem("alexbench-theme", value); } catch {} };
  let chosen = "";
  try { chosen = localStorage.getItem("alexbench-theme") ?? ""; } catch {}
  const select = el("select", { id: "theme-choice" },
    ...[["", "as the system"], ["light", "light"], ["dark", "dark"]].map(([value, words]) =>
      el("option", { value }, words)));
  const apply = () => {
    if (select.value) root.dataset.theme = select.value;
    else delete root.dataset.theme;
  };
  select.value = ["light", "dark"].includes(chosen) ? chosen : "";
  select.addEventListener("change", () => { apply(); remember(select.value); });
  place.append(el("label", { htmlFor: "theme-choice" }, "Colours "), select);
  place.hidden = false;
  apply();
}

/* Filters of the rows of all tables; the track is also one of plots and sentences. */

/** In the order of a row's facets; rows of report.html have no track of their own. */
const PLACES = ["network", "framework", "device", "precision", "track"];
const filters = $("#filters");
const chosen = () => Object.fromEntries(
  $$("select", filters).filter((s) => s.value).map((s) => [s.name, s.value]));

/** Whether a row is to be shown: a facet that it does not have hides it no more than its own. */
const fitting = (facets, wanted) => PLACES.every((name, place) =>
  !wanted[name] || !facets[place] || facets[place] === wanted[name]);
const facetsOf = (row) => row.dataset.f.split("|");

function filter() {
  const wanted = chosen();
  for (const select of $$("select", filters)) select.classList.toggle("on", Boolean(select.value));
  for (const part of $$("[data-track]", $("#main")))
    part.hidden = Boolean(wanted.track && part.dataset.track && part.dataset.track !== wanted.track);
  if (wanted.track) for (const fold of $$(".question .fold:not(.table)")) if ($("figure", fold)) fold.open = true;
  for (const figure of $$("figure[data-f]")) figure.hidden = !fitting(facetsOf(figure), wanted);
  for (const fold of $$("details.plots")) countPlots(fold);
  for (const table of tables.values()) table.draw();
  for (const fold of $$("details.table")) countRows(fold, wanted);
  writeAddress();
}

/** How many rows of a fold the filter leaves, in its summary: "4 of 10 rows". */
function countRows(fold, wanted) {
  const count = $(".count", fold);
  count.dataset.all ??= count.textContent;
  if (!Object.keys(wanted).length) { count.textContent = count.dataset.all; return; }
  const left = $$(".part:not([hidden]) table", fold).reduce((sum, table) => sum + facetsIn(table)
    .filter((facets) => fitting(facets, wanted)).length, 0);
  count.textContent = `${left.toLocaleString("en")} of ${count.dataset.all}`;
}

/** How many plots of a fold the filter leaves, in its summary; a fold without one is hidden. */
function countPlots(fold) {
  const left = $$("figure:not([hidden])", fold).length;
  fold.hidden = !left;
  $("summary", fold).textContent = `${left} more plot${left === 1 ? "" : "s"}`;
}

/** The facets of all rows of a table, also of those that it does not show. */
function facetsIn(table) {
  const made = tables.get(table), rows = made ? made.rows().nodes().toArray() : [...table.tBodies[0].rows];
  const more = made ? [] : (data().rows[table.id] ?? []).map(([, , facets]) => data().facets[facets]);
  return [...rows.map(facetsOf), ...more];
}

/* Tables. */

const tables = new Map();

/** The first number of a cell and its unit: "0.80x [0.78, 0.82]" is 0.8 and x; not a number where there is none. */
function figure(cell) {
  const found = String(cell).replace(/&[lg]t;/g, "")
    .match(/([-+−]?\d[\d,]*\.?\d*(?:e[-+]?\d+)?)\s?(x\b|pt\b|points\b|images\/s|ms\b|s\b|%)?/i);
  return found ? [Number(found[1].replace(/,/g, "").replace("−", "-")), found[2] ?? ""] : [NaN, ""];
}

/** By the number, each unit on its own: points do not stand among ratios. */
const byFigure = (sign) => ([a, unit], [b, other]) =>
  Number.isNaN(a) ? (Number.isNaN(b) ? 0 : 1) : Number.isNaN(b) ? -1
    : unit.localeCompare(other) || sign * (a - b);
DataTable.type("figure", { order: { pre: figure, asc: byFigure(1), desc: byFigure(-1) } });

function lastRows(table) {
  const classes = $$("thead th", table).map((th) => th.className);
  const body = $("tbody", table);
  for (const [anchor, cells, facets, records] of data().rows[table.id] ?? []) {
    const row = el("tr", { id: anchor },
      ...cells.map((cell, place) => el("td", { className: classes[place] }, cell)));
    row.dataset.f = data().facets[facets].join("|");
    if (records.length) row.dataset.r = records.join(" ");
    body.append(row);
  }
}

/** Conditions that are the same in every row: hidden at first, and named above the table. */
function constants(table, headers) {
  const rows = [...$("tbody", table).rows];
  if (rows.length < 3) return [];
  const result = (text) => /\dx$|%$|\[/.test(text);
  return headers.map((_, place) => place).filter((place) => {
    const text = rows[0].cells[place].textContent;
    return !["case", "network", "framework", "measured", "verdict"].includes(headers[place]) && !result(text)
      && rows.every((row) => row.cells[place].textContent === text);
  });
}

const isCell = (cell) => !cell.classList.contains("opens");

function opener(row) {
  const cell = el("td", { className: "opens" });
  if (!row.dataset.r) return cell;
  const name = [...row.cells].filter((c) => !c.classList.contains("case")).slice(0, 4)
    .map((c) => c.textContent).join(", ");
  const open = button("▸", () => toggle(row), { "aria-label": `Record of ${name}`, "aria-expanded": "false" });
  const pick = el("input", { type: "checkbox", "aria-label": `Compare settings of ${name}` });
  pick.addEventListener("change", () => pickRow(row, name, pick));
  cell.append(open, pick);
  return cell;
}

function enhance(table) {
  if (tables.has(table)) return tables.get(table);
  lastRows(table);
  const headers = $$("thead th", table).map((th) => th.textContent);
  const numeric = $$("thead th", table).map((th) => th.classList.contains("right"));
  const same = constants(table, headers);
  // Columns for the other width: on a phone one names the case, so that values are seen with it.
  const other = PHONE.matches ? "room" : "phone";
  const spare = $$("thead th", table).flatMap((th, place) => (th.dataset.only === other ? [place] : []));
  const hidden = [...new Set([...same, ...spare])];
  const first = table.tBodies[0].rows[0];
  const shared = same.filter((place) => !spare.includes(place)).map((place) => `${headers[place]} ${first.cells[place].textContent}`);
  const opens = [...table.tBodies[0].rows].some((row) => row.dataset.r), shift = Number(opens);
  if (opens) {
    for (const row of table.tBodies[0].rows) row.prepend(opener(row));
    table.tHead.rows[0].prepend(el("th", { className: "opens", "data-dt-order": "disable", scope: "col" },
      el("span", { className: "vh" }, "record")));
  }
  const many = table.tBodies[0].rows.length > 50, scroll = table.closest(".scroll");
  const made = new DataTable(table, {
    order: [], autoWidth: false, paging: many, pageLength: 50, lengthMenu: [25, 50, 100, 250],
    layout: {
      topStart: null, topEnd: null,
      bottomStart: many ? ["info", "pageLength"] : null, bottomEnd: many ? "paging" : null,
    },
    columnDefs: [
      ...(opens ? [{ targets: 0, orderable: false, searchable: false, className: "opens" }] : []),
      { targets: numeric.flatMap((is, place) => (is ? [place + shift] : [])), type: "figure", className: "right" },
      { targets: hidden.map((place) => place + shift), visible: false },
    ],
  });
  made.search.fixed("facets", (_, __, place) => fitting(facetsOf(made.row(place).node()), chosen()));
  tables.set(table, made);
  const above = tools(made, headers, hidden, shift);
  scroll.before(above);
  if (shared.length)
    scroll.before(el("p", { className: "note" }, `The same in all rows: ${shared.join("; ")}.`));
  $(".dt-paging nav", scroll)?.setAttribute("aria-label", `Pages of ${scroll.getAttribute("aria-label")}`);
  const box = table.parentElement, sizes = new ResizeObserver(() =>
    above.classList.toggle("wide", table.offsetWidth > box.clientWidth + 1));
  sizes.observe(table);
  sizes.observe(box);
  made.draw();
  return made;
}

function tools(table, headers, hidden, shift) {
  const search = el("input", { type: "search", placeholder: "Search", "aria-label": "Search this table" });
  search.addEventListener("input", () => table.search(search.value).draw());
  const menu = el("fieldset", {}, el("legend", { className: "vh" }, "Columns that are shown"));
  headers.forEach((header, place) => {
    const box = el("input", { type: "checkbox", checked: !hidden.includes(place) });
    box.addEventListener("change", () => table.column(place + shift).visible(box.checked));
    menu.append(el("label", {}, box, ` ${header}`));
  });
  const columns = el("details", { className: "menu" }, el("summary", {}, "Columns"), menu);
  columns.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { columns.open = false; $("summary", columns).focus(); }
  });
  return el("div", { className: "tools" }, search, columns,
    button("Copy CSV", (asked) => copyTable(table, csv, "CSV", asked)),
    button("Copy Markdown", (asked) => copyTable(table, markdown, "Markdown", asked)));
}

/** Headers and cells of the rows and columns that are shown, in their order. */
function copyTable(table, write, words, asked) {
  const heads = $$("thead th", table.table().node()).filter(isCell), headers = heads.map((th) => th.textContent);
  const nodes = table.rows({ search: "applied", order: "applied" }).nodes().toArray();
  const rows = nodes.map((row) => [...row.cells].filter(isCell).map((cell) => cell.textContent.replace(/\s+/g, " ")));
  const numeric = heads.map((th) => th.classList.contains("right"));
  copy(write(headers, rows, numeric), `${rows.length} row${rows.length === 1 ? "" : "s"} copied as ${words}.`, asked);
}

const NUMBER = "[-+−]?\\d[\\d,]*\\.?\\d*(?:e[-+]?\\d+)?", END = `(>?${NUMBER})`;
/** Number, unit and interval of a cell, each where there is one: "0.80x [0.78, 0.82]", "64.8 %". */
const ESTIMATE = new RegExp(`^(?:± )?(${NUMBER})?(?: ?(%|[a-zA-Z][\\w/]*))?(?: ?\\[${END}, ${END}\\](?: ?%)?)?(?: [†‡])?$`);

/** A number as programs read it: "−1,740" is -1740. */
const plain = (text) => (text ?? "").replace(/,/g, "").replace("−", "-").replace(/^\+/, "");

/** A column as the columns of a file: its number, the ends of its interval, its unit where rows differ. */
function columnsOf(header, cells) {
  const found = cells.map((cell) => (cell === "—" || !cell ? [] : cell.match(ESTIMATE)));
  if (!found.some((one) => one?.[1] || one?.[3]) || !found.every(Boolean)) return [[header, ...cells]];
  const units = new Set(found.filter((one) => one[1]).map((one) => one[2] ?? ""));
  const [unit] = units, apart = units.size > 1;
  const name = apart || !unit || unit === "x" || header.includes(unit) ? header : `${header} (${unit})`;
  return [
    // A word in the place of a number, as "never" or "reference", is what the cell says.
    ...(found.some((one) => one[1]) ? [[name, ...found.map((one) => plain(one[1] ?? one[2]))]] : []),
    ...(apart ? [[`${header} unit`, ...found.map((one) => (one[1] && one[2]) ?? "")]] : []),
    ...(found.some((one) => one[3]) ? [3, 4].map((end) =>
      [`${header} ${end === 3 ? "low" : "high"}`, ...found.map((one) => plain(one[end]))]) : []),
  ];
}

function csv(headers, rows, numeric) {
  const columns = headers.flatMap((header, place) => {
    const cells = rows.map((row) => row[place]);
    return numeric[place] ? columnsOf(header, cells) : [[header, ...cells]];
  });
  const quoted = (cell) => (/[",\n]/.test(cell) ? `"${cell.replace(/"/g, '""')}"` : cell);
  return columns[0].map((_, row) => columns.map((column) => quoted(column[row])).join(",")).join("\n") + "\n";
}

function markdown(headers, rows) {
  const line = (cells) => `| ${cells.map((c) => c.replace(/&/g, "&amp;").replace(/</g, "&lt;")
    .replace(/\|/g, "\\|")).join(" | ")} |`;
  return [line(headers), line(headers.map(() => "---")), ...rows.map(line)].join("\n") + "\n";
}

/* A row's records. */

const SETS = ["case", "settings", "environment", "dataset", "certificate"];
const pairsOf = (record, name) =>
  data().sets[record.sets[SETS.indexOf(name)]].map((place) => data().pairs[place]);
const commandOf = (record) => record.command.map((place) => data().words[place]).join(" --");
const recordsOf = (row) => row.dataset.r.split(" ").map((place) => data().records[place]);

function toggle(row, open) {
  const table = tables.get(row.closest("table"));
  const child = table.row(row).child;
  const shown = open ?? !child.isShown();
  if (shown && !child.isShown()) table.row(row).child(details(row)).show();
  if (!shown) child.hide();
  const arrow = $("td.opens button", row);
  arrow.setAttribute("aria-expanded", String(shown));
  arrow.textContent = shown ? "▾" : "▸";
}

function details(row) {
  const found = recordsOf(row);
  const link = button("Copy link to this row", (asked) => copy(addressOf(row.id), "Link copied.", asked));
  return el("div", { className: "record" }, ...found.map((record, place) =>
    place ? folded(`${record.id}, ${record.kind}`, () => [recordView(record)]) : recordView(record)), link);
}

/** A fold whose content is made when it is opened. */
function folded(words, make) {
  const fold = el("details", {}, el("summary", {}, words));
  fold.addEventListener("toggle", () => { if (fold.open && fold.children.length === 1) fold.append(...make()); });
  return fold;
}

function recordView(record) {
  const facts = el("dl");
  const fact = (name, value) => { if (value) facts.append(el("dt", {}, name), el("dd", {}, value)); };
  fact("status", record.status);
  fact("run", record.run);
  fact("started", record.started);
  fact("took", record.seconds && `${record.seconds} s, with building and warm-up`);
  fact("peak memory", record.memory && `${(record.memory / 2 ** 30).toFixed(2)} GiB`);
  fact("caveats", record.caveats);
  const views = [["Settings", "settings"], ["Certificate", "certificate"], ["Case", "case"],
    ["Data", "dataset"], ["Environment", "environment"]];
  const words = commandOf(record);
  // No line ends within the name of an option.
  const options = words.split(/(?<!\S)(--[\w-]+)/).map((part, place) =>
    (place % 2 ? el("span", { className: "whole" }, part) : part));
  const command = el("pre", { tabIndex: 0 }, el("code", {}, ...options));
  return el("div", {},
    el("h6", {}, `${record.id}, ${record.kind}`), facts, strip(record),
    el("p", { className: "note" }, "The command that measures it again:"),
    el("div", { className: "command" }, command, button("Copy", (asked) => copy(words, "Command copied.", asked))),
    ...views.map(([title, name]) => [title, pairsOf(record, name)]).filter(([, pairs]) => pairs.length)
      .map(([title, pairs]) => folded(`${title} (${pairs.length})`, () => [pairsTable(pairs)])));
}

/** A key that may be broken after its dots and low lines, and within no word. */
const breakable = (key) => key.split(/(?<=[._])/).flatMap((part) => [part, el("wbr")]);

function pairsTable(pairs) {
  return el("div", { className: "scroll" }, el("table", { className: "pairs" }, el("tbody", {},
    ...pairs.map(([key, value]) => el("tr", {}, el("th", { scope: "row" }, ...breakable(key)), el("td", {}, value))))));
}

/** The middle of sorted numbers: of an even number of them the mean of both. */
const median = (sorted) => (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;

/** The samples, a lane per process: a dot each, a line at the median; of blocks the time per step. */
function strip(record) {
  const each = (value) => (value === null ? null : value / (record.steps ?? 1));
  const lanes = (record.samples ?? []).map((some) => some.map(each));
  const all = lanes.flat().filter((value) => value !== null);
  const per = record.steps > 1 ? "per step " : "", of = data().words[record.of], what = of ? ` A sample is ${of}.` : "";
  const percent = record.unit === "fraction";
  const show = (value) => (percent ? `${(100 * value).toFixed(2)}\u00a0%` : `${Number((1000 * value).toPrecision(4))} ms`);
  if (!all.length) return el("p", { className: "note" }, "No samples.");
  if (all.length === 1) return el("p", { className: "note" }, `One sample: ${per}${show(all[0])}.${what}`);
  const sorted = [...all].sort((a, b) => a - b);
  const [low, middle, high] = record.range?.map(each) ?? [sorted[0], median(sorted), sorted.at(-1)];
  // On a phone as many units as there are pixels, so that letters keep their size.
  const phone = PHONE.matches, [width, left, right, top] = phone ? [300, 24, 8, 16] : [640, 90, 20, 2];
  const lane = 22, bottom = lanes.length * lane + top + 4, height = bottom + 28;
  const x = (value) => left + (width - left - right) * (high > low ? (value - low) / (high - low) : 0.5);
  const words = `${record.taken} samples of ${lanes.length} process${lanes.length > 1 ? "es" : ""}, `
    + `${per}${show(low)} to ${show(high)}, median of all ${show(middle)}`;
  const plot = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": words });
  if (phone) plot.append(draw("text", { x: 0, y: 10 }, lanes.length > 1 ? "processes" : "process"));
  plot.append(draw("line", { class: "axis", x1: x(middle), x2: x(middle), y1: top, y2: bottom }),
    draw("line", { class: "axis", x1: left, x2: width - right, y1: bottom, y2: bottom }));
  lanes.forEach((some, place) => {
    const y = place * lane + lane / 2 + top;
    plot.append(draw("text", { x: 0, y: y + 4 }, phone ? `${place + 1}` : `process ${place + 1}`));
    some.forEach((value, turn) => {
      if (value === null) return;
      plot.append(draw("circle", { class: "dot", cx: x(value), cy: y, r: 4 },
        draw("title", {}, `sample ${turn * (record.each ?? 1) + 1} of process ${place + 1}: ${show(value)}`)));
    });
  });
  for (const [value, anchor] of [[low, "start"], [high, "end"]])
    plot.append(draw("text", { x: x(value), y: height - 12, "text-anchor": anchor }, show(value)));
  return el("div", {}, plot, el("p", { className: "note" }, `${words}.${what}`));
}

/* Settings that differ between selected rows. */

const picked = new Map();
const tray = el("div", { className: "tray", hidden: true, role: "region", "aria-label": "Selected rows" });
const dialog = el("dialog", { "aria-labelledby": "differing" });
document.body.append(tray, dialog);

function pickRow(row, name, box) {
  row.classList.toggle("picked", box.checked);
  if (box.checked) picked.set(row, { name, box });
  else picked.delete(row);
  tray.replaceChildren(`${picked.size} row${picked.size === 1 ? "" : "s"} selected `,
    button("Settings that differ", compare, { disabled: picked.size < 2 }),
    button("Clear", () => {
      for (const [other, { box: mark }] of picked) { mark.checked = false; other.classList.remove("picked"); }
      picked.clear();
      tray.hidden = true;
    }));
  tray.hidden = !picked.size;
}

/** The pairs of a record that say how it was measured. */
function conditions(record) {
  const found = new Map();
  for (const name of ["case", "settings", "dataset", "environment"])
    for (const [key, value] of pairsOf(record, name))
      found.set(name === "settings" ? key : `${name}.${key}`, value);
  found.set("run", record.run ?? "");
  return found;
}

/** Keys with another value in one of the records, and how many are equal in all. */
function differing(records) {
  const all = records.map(conditions), keys = new Set(all.flatMap((one) => [...one.keys()]));
  const rows = [...keys].map((key) => [key, all.map((one) => one.get(key) ?? "—")]);
  const apart = rows.filter(([, values]) => new Set(values).size > 1);
  return { apart, equal: rows.length - apart.length };
}

function compare() {
  const names = [...picked.values()].map(({ name }) => name);
  const { apart, equal } = differing([...picked.keys()].map((row) => recordsOf(row)[0]));
  const head = el("tr", {}, el("td"), ...names.map((name) => el("th", { scope: "col" }, name)));
  const body = apart.map(([key, values]) => el("tr", {}, el("th", { scope: "row" }, ...breakable(key)),
    ...values.map((value) => el("td", { className: "wrap" }, value))));
  dialog.replaceChildren(el("h2", { id: "differing" }, "Settings that differ"),
    el("p", { className: "note" }, `${apart.length} differ, ${equal} are equal in all selected rows.`),
    el("div", { className: "scroll", tabIndex: 0, role: "group", "aria-label": "Differing settings" },
      el("table", {}, el("thead", {}, head), el("tbody", {}, ...body))),
    button("Copy Markdown", (asked) => copy(markdown(["setting", ...names], apart.map(([k, v]) => [k, ...v])),
      "Differences copied as Markdown.", asked)), " ",
    button("Close", () => dialog.close()));
  dialog.showModal();
}

/* Addresses: #chapter or #row, then ?framework=…&track=… */

let place = "";
const query = () => { const text = new URLSearchParams(chosen()).toString(); return text ? `?${text}` : ""; };
const addressOf = (id) => `${location.href.split("#")[0]}#${id}${query()}`;

function writeAddress() {
  const hash = `#${place}${query()}`;
  if (hash !== (location.hash || "#")) history.replaceState(null, "", hash === "#" ? location.pathname : hash);
}

function readAddress() {
  let hash = location.hash.slice(1);
  try { hash = decodeURIComponent(hash); } catch {}
  const [id, words] = hash.split("?");
  if (words !== undefined) {
    const wanted = new URLSearchParams(words);
    for (const select of $$("select", filters)) {
      const value = wanted.get(select.name) ?? "";
      select.value = [...select.options].some((option) => option.value === value) ? value : "";
    }
  }
  place = id;
  filter();
  const [, chapter] = id.match(/^(.*)-[0-9a-f]{8}(?:-\d+)?$/) ?? [];
  if (chapter) goToRow(chapter, id);
  else if (id) goTo(document.getElementById(id));
}

function goTo(target) {
  for (let fold = target; fold; fold = fold.parentElement) if (fold.tagName === "DETAILS") fold.open = true;
  target?.scrollIntoView({ block: "start" });
}

/** Open a row where it is: in the fold of its chapter, on its page of the table. */
function goToRow(chapter, id) {
  const fold = $(`#${CSS.escape(chapter)} details.table`);
  if (!fold) return;
  fold.open = true;
  for (const table of $$(".part table", fold).map(enhance)) {
    const rows = table.rows({ search: "applied", order: "applied" }).nodes().toArray();
    const at = rows.findIndex((row) => row.id === id);
    if (at < 0) continue;
    if (rows.length > table.page.len() && table.page.len() > 0)
      table.page(Math.floor(at / table.page.len())).draw(false);
    if (rows[at].dataset.r) toggle(rows[at], true);
    return goTo(rows[at]);
  }
  goTo(fold);
}

/** The navigation names where the reader is. */
function follow() {
  const links = new Map($$(".side a").map((a) => [a.hash.slice(1), a]));
  const watch = new IntersectionObserver((entries) => {
    const entry = entries.find((one) => one.isIntersecting);
    if (!entry) return;
    for (const link of links.values()) link.removeAttribute("aria-current");
    links.get(entry.target.id)?.setAttribute("aria-current", "true");
  }, { rootMargin: "-15% 0px -75% 0px" });
  for (const id of links.keys()) { const target = document.getElementById(id); if (target) watch.observe(target); }
}

theme();
filters.hidden = !$$("select", filters).length;
filters.addEventListener("change", filter);
filters.addEventListener("reset", () => setTimeout(filter));
filters.addEventListener("submit", (event) => event.preventDefault());
for (const table of $$(".part table")) if (!table.closest("details")) enhance(table);
for (const fold of $$("details.table"))
  fold.addEventListener("toggle", () => { if (fold.open) for (const table of $$(".part table", fold)) enhance(table); });
addEventListener("hashchange", readAddress);
follow();
if (location.hash) readAddress();
})();
