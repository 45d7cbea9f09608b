/* The methods to switch on and off, on the capacity page: one SVG drawn from the numbers embedded in the page, methods to switch on and off.
   The drawing functions are pure and run without a page. */
"use strict";

const scalingPictures = (() => {
  const LEFT = 84, RIGHT = 14, TOP = 12, BOTTOM = 48;

  const polygon = (corners, turn, inner = 1) =>
    Array.from({ length: inner === 1 ? corners : 2 * corners }, (_, k) => {
      const angle = turn + (2 * Math.PI * k) / (inner === 1 ? corners : 2 * corners);
      const radius = inner !== 1 && k % 2 ? inner : 1;
      return [radius * Math.sin(angle), -radius * Math.cos(angle)];
    });
  const plus = (turn) => {
    const arm = 0.36, half = [[-arm, -1], [arm, -1], [arm, -arm], [1, -arm], [1, arm], [arm, arm]];
    const all = [...half, ...half.map(([x, y]) => [-x, -y])];
    return all.map(([x, y]) => [x * Math.cos(turn) - y * Math.sin(turn), x * Math.sin(turn) + y * Math.cos(turn)]);
  };
  /* matplotlib's marker letters, as corners on the unit circle */
  const shapes = {
    o: polygon(24, 0), s: polygon(4, Math.PI / 4), D: polygon(4, 0), p: polygon(5, 0), h: polygon(6, 0),
    "^": polygon(3, 0), v: polygon(3, Math.PI), "<": polygon(3, -Math.PI / 2), ">": polygon(3, Math.PI / 2),
    "*": polygon(5, 0, 0.4), P: plus(0), X: plus(Math.PI / 4),
  };
  const grow = { "^": 1.25, v: 1.25, "<": 1.25, ">": 1.25, "*": 1.3, P: 1.1, X: 1.1 }; // to look alike in size
  const px = (x) => x.toFixed(1);
  const marker = (kind, colour, x, y, radius, more = "") =>
    `<path fill="${colour}"${more} d="M${(shapes[kind] ?? shapes.o)
      .map(([dx, dy]) => `${px(x + radius * (grow[kind] ?? 1) * dx)} ${px(y + radius * (grow[kind] ?? 1) * dy)}`).join("L")}Z"/>`;

  const number = (x) => (x >= 1000 ? Math.round(x).toLocaleString("en") : String(Number(x.toPrecision(3))));
  const trained = (panel, n) => panel.methods.find((m) => m.key === "trained")?.points.find((p) => p[0] === n)?.[2];
  /* what is drawn upwards: a function of a count of parameters at n facts, undefined where it has none */
  const measures = {
    parameters: { label: "parameters at 100% recall", of: (count) => count },
    "parameters per fact": { label: "parameters per fact at 100% recall", of: (count, n) => count / n },
    "times trained": {
      label: "parameters, times those of trained networks",
      of: (count, n, panel) => { const bar = trained(panel, n); return bar && count / bar; },
    },
  };

  function ticks(low, high) {
    const all = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++)
      for (const lead of Math.log10(high / low) > 2.2 ? [1] : [1, 2, 5]) all.push(lead * 10 ** power);
    return all.filter((t) => t >= low * 0.999 && t <= high * 1.001);
  }

  /* The curves of a panel in one measure: [{method, points: [{n, low, middle, high, runs}]}] */
  function curves(panel, measure, shown) {
    const { of } = measures[measure];
    return panel.methods.filter((m) => shown.has(m.key)).map((method) => ({
      method,
      points: method.points.map(([n, ...counts]) => {
        const [low, middle, high] = counts.slice(0, 3).map((count) => of(count, n, panel));
        return { n, low, middle, high, count: counts[1], runs: counts[3] };
      }).filter((point) => point.middle > 0),
    }));
  }

  /* The drawing {svg, at}; `at` lists every point with its place, for the pointer. The axes keep their range whatever
     is switched off. */
  function draw(panel, measure, shown, width = 720, height = 440) {
    const { of, label } = measures[measure];
    const everything = curves(panel, measure, new Set(panel.methods.map((m) => m.key))).flatMap((c) => c.points);
    const floor = panel.floor.map(([n, count]) => [n, of(count, n, panel)]).filter(([, y]) => y > 0);
    const sizes = panel.floor.map(([n]) => n);
    const all = [...everything.flatMap((p) => [p.low, p.high]), ...floor.map(([, y]) => y)];
    const [low, high] = [0.8 * Math.min(...all), 1.25 * Math.max(...all)];
    const [least, most] = [sizes[0] / 1.15, sizes.at(-1) * 1.15];
    const x = (n) => LEFT + ((width - LEFT - RIGHT) * Math.log(n / least)) / Math.log(most / least);
    const y = (v) => height - BOTTOM - ((height - TOP - BOTTOM) * Math.log(v / low)) / Math.log(high / low);
    const parts = [];
    for (const t of ticks(low, high)) {
      parts.push(`<line class="grid" x1="${LEFT}" x2="${width - RIGHT}" y1="${px(y(t))}" y2="${px(y(t))}"/>`);
      parts.push(`<text class="end" x="${LEFT - 6}" y="${px(y(t) + 4)}">${number(t)}</text>`);
    }
    const every = Math.ceil(sizes.length / ((width - LEFT) / 60));
    sizes.forEach((n, k) => {
      parts.push(`<line class="grid" x1="${px(x(n))}" x2="${px(x(n))}" y1="${TOP}" y2="${height - BOTTOM}"/>`);
      if (k % every === 0) parts.push(`<text x="${px(x(n))}" y="${height - BOTTOM + 18}">${number(n)}</text>`);
    });
    parts.push(`<text x="${px((LEFT + width - RIGHT) / 2)}" y="${height - 8}">facts n</text>`);
    parts.push(`<text transform="translate(14 ${px((TOP + height - BOTTOM) / 2)}) rotate(-90)">${label}</text>`);
    const path = (points) => points.map(([px_, py]) => `${px(px_)},${px(py)}`).join(" ");
    parts.push(`<polyline class="floor" points="${path(floor.map(([n, v]) => [x(n), y(v)]))}"/>`);
    const at = [];
    for (const { method, points } of curves(panel, measure, shown)) {
      const { colour } = method;
      parts.push(`<polyline stroke="${colour}" points="${path(points.map((p) => [x(p.n), y(p.middle)]))}"/>`);
      for (const point of points) {
        const place = [x(point.n), y(point.middle)];
        parts.push(`<line stroke="${colour}" x1="${px(place[0])}" x2="${px(place[0])}" y1="${px(y(point.low))}" ` +
          `y2="${px(y(point.high))}"/>`);
        parts.push(marker(method.marker, colour, ...place, 5.5));
        at.push({ method, point, place });
      }
    }
    return { svg: parts.join(""), at };
  }

  /* One sentence on a point, the same numbers in every measure. */
  function words(panel, { method, point }) {
    const { n, count, runs } = point, raw = method.points.find((p) => p[0] === n), bar = trained(panel, n);
    const range = raw[1] < raw[3] ? `${number(raw[1])} to ${number(raw[3])} over ${runs} runs` : `the same in ${runs} runs`;
    const times = bar && method.key !== "trained" ? `, ${number(count / bar)} times trained` : "";
    return `${method.label}: n = ${number(n)}, ${number(count)} parameters (${range}), ${number(count / n)} a fact${times}`;
  }

  return { curves, draw, marker, measures, words };
})();

if (typeof document !== "undefined") {
  const { draw, marker, measures, words } = scalingPictures;

  const mount = (root) => {
    const panels = JSON.parse(document.getElementById("scaling-data").textContent);
    const choice = (name, options) => `<label>${name} <select data-in="${name}">` +
      options.map((text, k) => `<option value="${k}">${text}</option>`).join("") + "</select></label>";
    const names = Object.keys(measures);
    root.innerHTML = `<div class="controls">${choice("Shown", names)}` +
      (panels.length > 1 ? choice("Runs", panels.map((p) => p.title)) : "") +
      `<span class="buttons"><button type="button" data-set="all">All methods</button>
       <button type="button" data-set="three">The paper's three</button></span></div>
      <div class="picture"><svg role="img" data-part="plot"></svg><p class="tip" data-part="tip" hidden></p></div>
      <fieldset><legend>Methods</legend><div data-part="methods"></div></fieldset>
      <p class="note">Points are medians over the draws, bars reach from the smallest to the largest. Dashed, grey:
      ${panels[0].floorLabel}. Point at a mark to read it.</p>`;
    const part = (name) => root.querySelector(`[data-part="${name}"]`);
    const svg = part("plot"), tip = part("tip");
    let panel = panels[0], measure = names[0], at = [], shown = new Set(panel.methods.map((m) => m.key));

    function list() {
      part("methods").innerHTML = panel.methods.map((m) => `<label><input type="checkbox" data-method="${m.key}"` +
        `${shown.has(m.key) ? " checked" : ""}><svg viewBox="0 0 16 16" aria-hidden="true">` +
        `${marker(m.marker, m.colour, 8, 8, 6)}</svg>${m.label}</label>`).join("");
    }
    function update() {
      const width = Math.max(300, Math.min(760, root.clientWidth)), height = Math.round(Math.max(320, width * 0.6));
      svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
      const drawn = draw(panel, measure, shown, width, height);
      svg.innerHTML = drawn.svg;
      at = drawn.at;
      tip.hidden = true;
      svg.setAttribute("aria-label", `${measures[measure].label} against the number of facts, logarithmic axes, ` +
        `${panel.title}: ${panel.methods.filter((m) => shown.has(m.key)).map((m) => m.label).join("; ")}. ` +
        "The numbers stand in the table below it.");
    }
    root.addEventListener("input", ({ target }) => {
      if (target.dataset.method) shown[target.checked ? "add" : "delete"](target.dataset.method);
      if (target.dataset.in === "Shown") measure = names[Number(target.value)];
      if (target.dataset.in === "Runs") { panel = panels[Number(target.value)]; list(); }
      update();
    });
    root.addEventListener("click", ({ target }) => {
      const set = target.dataset.set;
      if (!set) return;
      const three = ["trained", "paper-codes", "ntk"];
      shown = new Set(panel.methods.map((m) => m.key).filter((key) => set === "all" || three.includes(key)));
      list();
      update();
    });
    const look = ({ clientX, clientY }) => {
      const box = svg.getBoundingClientRect(), scale = svg.viewBox.baseVal.width / box.width;
      const gap = ({ place }) => Math.hypot(place[0] - (clientX - box.left) * scale, place[1] - (clientY - box.top) * scale);
      const nearest = at.reduce((best, p) => (!best || gap(p) < gap(best) ? p : best), null);
      const near = nearest && gap(nearest) < 26;
      svg.querySelector(".ring")?.remove();
      tip.hidden = !near;
      if (!near) return;
      const [x, y] = nearest.place;
      svg.insertAdjacentHTML("beforeend", `<circle class="ring" r="10" cx="${x}" cy="${y}"/>`);
      tip.textContent = words(panel, nearest);
      const left = x / scale, room = box.width - tip.offsetWidth;
      Object.assign(tip.style, { left: `${Math.max(0, Math.min(room, left - tip.offsetWidth / 2))}px`,
        top: `${y / scale > box.height / 2 ? y / scale - tip.offsetHeight - 14 : y / scale + 14}px` });
    };
    svg.addEventListener("pointermove", look);
    svg.addEventListener("pointerdown", look);
    svg.addEventListener("pointerleave", () => { tip.hidden = true; svg.querySelector(".ring")?.remove(); });
    list();
    update();
    addEventListener("resize", update);
  };

  const begin = () => document.querySelectorAll("[data-scaling]").forEach(mount);
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin);
  else begin();
}
