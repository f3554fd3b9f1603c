"use strict";

// Keeps the newest page of the log up to date. The server renders; this replaces what has changed, so that the page
// never grows and the focus stays where it is.

const PAUSE = 1500;
const LONGEST_PAUSE = 30000;
const state = document.getElementById("state");
const pauseButton = document.getElementById("pause");
let etag = null;
let pause = PAUSE;
let timer = 0;
let paused = false;

for (const field of document.querySelectorAll("form[role=search] select:not([name=key])")) {
  field.addEventListener("change", () => field.form.requestSubmit());
}

if (matchMedia("(max-width: 560px)").matches) document.getElementById("filters")?.removeAttribute("open");

if (state) {
  pauseButton.hidden = false;
  pauseButton.addEventListener("click", () => {
    paused = !paused;
    pauseButton.setAttribute("aria-pressed", String(paused));
    pauseButton.textContent = paused ? "Resume" : "Pause";
    show(paused ? "Paused" : "Live", paused ? "paused" : "live");
    if (!paused) update();
  });
  document.addEventListener("visibilitychange", () => document.hidden || paused || update());
  show("Live", "live");
  update();
}

function show(text, kind) {
  if (state.textContent !== text) state.textContent = text;
  state.dataset.kind = kind;
}

async function update() {
  clearTimeout(timer);
  const started = performance.now();
  try {
    const response = await fetch(location.href, {
      headers: etag ? { "if-none-match": etag } : {},
      cache: "no-store",
      signal: AbortSignal.timeout(LONGEST_PAUSE),
    });
    if (response.status === 200) {
      const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
      if (paused) return;
      apply(fresh);
      etag = response.headers.get("etag");
    } else if (response.status !== 304) {
      throw new Error(String(response.status));
    }
    if (!paused) show("Live", "live");
    // A log that takes long to read is read less often.
    pause = Math.max(PAUSE, 5 * (performance.now() - started));
  } catch {
    if (!paused) show("Reconnecting", "lost");
    etag = null;
    pause = Math.min(LONGEST_PAUSE, 2 * pause);
  }
  clearTimeout(timer);
  if (!paused && !document.hidden) timer = setTimeout(update, pause);
}

function apply(fresh) {
  replace("overview", fresh);
  replace("pages", fresh);
  const rows = document.getElementById("rows");
  const freshRows = fresh.getElementById("rows") && Array.from(fresh.getElementById("rows").children);
  if (!rows || !freshRows) {
    replace("log", fresh);
    return;
  }
  let added = 0;
  const present = new Map(Array.from(rows.children, (row) => [row.id, row]));
  freshRows.forEach((row, index) => {
    let existing = present.get(row.id);
    if (!existing) {
      row.classList.add("new");
      added += 1;
    } else if (existing.dataset.version !== row.dataset.version) {
      existing.replaceWith(row);
      existing = row;
    }
    const place = rows.children[index];
    if (place !== (existing ?? row)) rows.insertBefore(existing ?? row, place ?? null);
  });
  while (rows.children.length > freshRows.length) rows.lastElementChild.remove();
  if (added) document.getElementById("news").textContent = added === 1 ? "1 new call" : `${added} new calls`;
}

function replace(id, fresh) {
  const before = document.getElementById(id);
  const after = fresh.getElementById(id);
  if (!before || !after || before.isEqualNode(after)) return;
  const focused = before.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  before.replaceWith(after);
  if (focused) after.querySelector(`[href="${CSS.escape(focused)}"]`)?.focus();
}
