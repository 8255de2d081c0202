// Fills the panel with what the server tells of this session. The shop works
// without it.

/** How many requests stay on the list. */
const MOST_LINES = 30;

/** The size of the chart in its own units. */
const CHART = { width: 300, base: 56 };

const live = document.getElementById("panel-live");
const ended = document.getElementById("panel-ended");
const chart = document.getElementById("panel-chart");
const fuse = document.getElementById("panel-fuse");
const log = document.getElementById("panel-log");

/** What was told last, and when. */
let standing;
let toldAt = 0;

const events = new EventSource("/events");
on("standing", (told) => {
  standing = told;
  toldAt = performance.now();
  live.hidden = false;
  showStanding();
});
on("line", showLine);
on("chart", showChart);
on("ended", (text) => {
  // Else the browser would go on asking.
  events.close();
  clearInterval(clock);
  live.hidden = true;
  ended.replaceChildren(make("b", "Ended"), ` ${text}`);
  ended.hidden = false;
});
const clock = setInterval(showStanding, 1000);

function on(name, show) {
  events.addEventListener(name, ({ data }) => show(JSON.parse(data)));
}

/** How things are by now: between two events only time passes. */
function showStanding() {
  if (standing === undefined) return;
  const { tag, who, secretAge, secretLife, grace, endsIn, next } = standing;
  const passed = performance.now() - toldAt;
  const age = secretAge + passed;
  const left = (grace ?? 0) - passed;
  fill("tag", tag);
  fill("who", who);
  fill("age", duration(age));
  fill("grace", left > 0 ? `The one before works ${duration(left)} more.` : "");
  fill("ends", duration(endsIn - passed));
  fill("next", next.findLast(({ from }) => from <= passed)?.text ?? "");
  fuse.setAttribute("width", String(Math.min(100, 100 * age / secretLife)));
}

function fill(name, text) {
  const element = document.querySelector(`[data-fill="${name}"]`);
  if (element.textContent !== text) element.textContent = text;
}

/** Such as `45 seconds` or `9:05 minutes`. */
function duration(milliseconds) {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  if (seconds < 100) {
    return `${seconds} ${seconds === 1 ? "second" : "seconds"}`;
  }
  const [minutes, rest] = [Math.floor(seconds / 60), seconds % 60];
  if (minutes < 100) {
    return `${minutes}:${String(rest).padStart(2, "0")} minutes`;
  }
  const hours = Math.round(minutes / 60);
  return hours < 100 ? `${hours} hours` : `${Math.round(hours / 24)} days`;
}

/** One request, and what the library did for it. */
function showLine({ ago, request, from, acts }) {
  const item = make("li");
  item.className = from === "you" ? "you" : from === "Mallory" ? "thief" : "";
  const time = new Date(Date.now() - ago).toLocaleTimeString("en-GB");
  const meta = make("span", ` by ${from}, ${time}`);
  meta.className = "meta";
  const list = make("dl");
  list.className = "acts";
  for (const { name, text, tone } of acts) {
    const term = make("dt", name);
    term.className = `is-${tone}`;
    list.append(term, make("dd", text));
  }
  item.append(make("code", request), meta, list);
  log.prepend(item);
  while (log.children.length > MOST_LINES) log.lastElementChild.remove();
}

/** Requests as bars, sessions as a line above them. */
function showChart(beats) {
  const step = CHART.width / beats.length;
  const most = (key) => Math.max(4, ...beats.map((beat) => beat[key]));
  const heightOf = (count, key) => CHART.base * count / most(key);
  const bars = beats.map(({ requests }, at) =>
    shape("rect", {
      class: "bar-of",
      x: at * step + 1.5,
      y: CHART.base - heightOf(requests, "requests"),
      width: step - 3,
      height: heightOf(requests, "requests"),
      rx: 1.5,
    })
  );
  const points = beats.map(({ sessions }, at) =>
    `${(at + 0.5) * step},${CHART.base - heightOf(sessions, "sessions") * 0.9}`
  );
  const line = shape("polyline", {
    class: "line-of",
    points: points.join(" "),
  });
  const base = shape("path", {
    class: "base",
    d: `M0 ${CHART.base + 0.5}H${CHART.width}`,
  });
  chart.replaceChildren(base, ...bars, line);
  const requests = beats.reduce((sum, beat) => sum + beat.requests, 0);
  const { sessions } = beats.at(-1);
  chart.setAttribute(
    "aria-label",
    `In the last minute: ${requests} requests, ${sessions} sessions`,
  );
  document.querySelector(".key.requests").textContent = `Requests: ${requests}`;
  document.querySelector(".key.sessions").textContent = `Sessions: ${sessions}`;
}

function shape(name, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) {
    element.setAttribute(key, String(value));
  }
  return element;
}

function make(name, text = "") {
  const element = document.createElement(name);
  element.textContent = text;
  return element;
}
