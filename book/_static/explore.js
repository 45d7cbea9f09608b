/* The geometry to turn by hand, on the decoder's page: pictures as SVG text, then the controls that ask for them. Nothing moves by itself.
   Needs explore_maths.js; the drawing functions are pure and run without a page. */
"use strict";

const explorePictures = (() => {
  const { dot, geometries, minus, norm, plus, times, unit } = exploreMaths;
  const SIZE = 480, REACH = 168; // the drawing's side and the distance of the farthest value from its centre

  const px = (x) => x.toFixed(1);
  const line = (kind, a, b, more = "") =>
    `<line class="${kind}" x1="${px(a[0])}" y1="${px(a[1])}" x2="${px(b[0])}" y2="${px(b[1])}"${more}/>`;

  /** Values to drawing coordinates [right, down, towards the reader], the last from -1 (far) to 1 (near). */
  function camera(rows, { turn, tilt }) {
    const spans = rows[0].map((_, k) => rows.map((row) => row[k])).map((x) => [Math.min(...x), Math.max(...x)]);
    const centre = spans.map(([low, high]) => (low + high) / 2);
    const radius = Math.max(...rows.map((row) => norm(minus(row, centre)))) || 1;
    const [ct, st, cp, sp] = [Math.cos(turn), Math.sin(turn), Math.cos(tilt), Math.sin(tilt)];
    const place = (point) => {
      const [x, y, z] = times(minus(point, centre), 1 / radius);
      if (point.length === 2) return [SIZE / 2 + REACH * x, SIZE / 2 - REACH * y, 0];
      const right = x * ct + z * st, back = z * ct - x * st;
      const near = y * sp + back * cp, grow = REACH / (1 - 0.15 * near);
      return [SIZE / 2 + grow * right, SIZE / 2 - grow * (y * cp - back * sp), near];
    };
    return { place, radius };
  }

  function arrow(kind, a, b) {
    const [dx, dy] = [b[0] - a[0], b[1] - a[1]], length = Math.hypot(dx, dy) || 1;
    const head = Math.min(7, length), [ux, uy] = [dx / length, dy / length];
    const wing = (side) => `${px(b[0] - head * (ux - side * 0.5 * uy))} ${px(b[1] - head * (uy + side * 0.5 * ux))}`;
    return `<path class="${kind}" d="M${px(a[0])} ${px(a[1])}L${px(b[0])} ${px(b[1])}M${wing(1)}` +
      `L${px(b[0])} ${px(b[1])}L${wing(-1)}"/>`;
  }

  /** The cone behind value i that holds all others: angle arccos(rho_i) around -separator. */
  function cone({ place, radius }, apex, { separator, lower }) {
    const back = times(separator, -lower), side = Math.sqrt(1 - lower * lower);
    const at = (across, length) => plus(apex, plus(back, across, side), length * radius);
    const show = (point) => place(point).slice(0, 2).map(px).join(" ");
    if (apex.length === 2) {
      const across = [-separator[1], separator[0]], far = 5 * REACH;
      return `<path class="cone" d="M${show(apex)}L${show(at(across, 5))}A${far} ${far} 0 0 0 ` +
        `${show(at(times(across, -1), 5))}Z"/>`;
    }
    const axis = Math.abs(separator[0]) < 0.7 ? [1, 0, 0] : [0, 1, 0];
    const e = unit(plus(axis, separator, -dot(axis, separator)));
    const f = [1, 2, 0].map((k, r) => separator[k] * e[(k + 1) % 3] - separator[(k + 1) % 3] * e[k]);
    const rim = Array.from({ length: 48 }, (_, k) => {
      const angle = (2 * Math.PI * k) / 48;
      return at(plus(times(e, Math.cos(angle)), f, Math.sin(angle)), 0.8);
    });
    const spokes = rim.filter((_, k) => k % 6 === 0).map((point) => `M${show(apex)}L${show(point)}`).join("");
    return `<path class="cone" d="M${rim.map(show).join("L")}Z${spokes}"/>`;
  }

  /** The picture: hull (edges: pairs of rows), separators, values; `focus` is the value looked at, whose cone and
      binding values are drawn. */
  function scene(rows, result, view, focus, edges) {
    const eye = camera(rows, view), at = rows.map(eye.place);
    const { items, worst } = result, partner = items[worst].partner;
    const fade = (near, low) => ` style="opacity:${(low + (1 - low) * (near + 1) / 2).toFixed(2)}"`;
    const flat = rows[0].length === 2;
    const depth = (near, low) => (flat ? "" : fade(near, low));
    const parts = [];
    if (!items[focus].inside) parts.push(cone(eye, rows[focus], items[focus]));
    for (const [a, b] of edges) parts.push(line("hull", at[a], at[b], depth((at[a][2] + at[b][2]) / 2, 0.15)));
    for (const j of items[focus].binding) parts.push(line("binds", at[focus], at[j]));
    for (const i of rows.map((_, k) => k).sort((a, b) => at[a][2] - at[b][2])) {
      const { inside, separator, lower } = items[i], [x, y, near] = at[i], size = 5 + 1.5 * near;
      const kinds = (inside ? "inside" : "vertex") + (i === focus ? " looked" : "") + (i === worst ? " worst" : "");
      if (separator) {
        const tip = eye.place(plus(rows[i], separator, eye.radius * (0.1 + 0.3 * lower)));
        const shade = i === focus || i === worst ? "" : depth(near, 0.3);
        parts.push(`<g${shade}>${arrow(`separator ${kinds}`, at[i], tip)}</g>`);
      }
      const mark = inside
        ? `<path class="value ${kinds}" d="M${px(x)} ${px(y - size - 1)}l${px(size + 1)} ${px(size + 1)}` +
          `l${px(-size - 1)} ${px(size + 1)}l${px(-size - 1)} ${px(-size - 1)}Z"`
        : `<circle class="value ${kinds}" cx="${px(x)}" cy="${px(y)}" r="${px(size)}"`;
      parts.push(`${mark} data-value="${i + 1}"${i === focus ? "" : depth(near, 0.45)}/>`);
    }
    parts.push(line("pair", at[worst], at[partner])); // over the values: the worst must not hide behind others
    for (const [kind, i] of [["worst", worst], ["partner", partner]]) {
      parts.push(`<circle class="ring ${kind}" cx="${px(at[i][0])}" cy="${px(at[i][1])}" r="11"/>`);
    }
    const named = new Set([worst, partner, focus, ...(items[focus].binding.length < 7 ? items[focus].binding : [])]);
    for (const i of named) {
      const beside = items[i].separator && eye.place(plus(rows[i], items[i].separator, -0.01 * eye.radius));
      const [dx, dy] = beside ? [beside[0] - at[i][0], beside[1] - at[i][1]] : [0, -1];
      const far = 19 / (Math.hypot(dx, dy) || 1);
      parts.push(`<text x="${px(at[i][0] + far * dx)}" y="${px(at[i][1] + far * dy + 4)}">${i + 1}</text>`);
    }
    return { svg: parts.join(""), at };
  }

  const short = (x) => String(Number(x.toPrecision(2)));

  /** rho against the strength: curves[0] is the draw shown, the others are further seeds, behind it. */
  function plot(curves, state, rho) {
    const { range: [low, high], strength: name } = geometries[state.geometry];
    const top = Math.max(0.01, ...curves.flat().map((point) => point[1]), rho) * 1.08;
    const x = (t) => 56 + 232 * (t - low) / (high - low), y = (r) => 128 - 114 * r / top;
    const tick = 10 ** Math.floor(Math.log10(top));
    const step = [0.2, 0.5, 1, 2, 5].find((m) => top / (m * tick) <= 4.5) * tick;
    const parts = [];
    for (let r = 0; r <= top; r += step) {
      parts.push(line("grid", [56, y(r)], [288, y(r)]));
      parts.push(`<text class="end" x="51" y="${px(y(r) + 4)}">${short(r)}</text>`);
    }
    for (const t of [low, (low + high) / 2, high]) parts.push(`<text x="${px(x(t))}" y="144">${short(t)}</text>`);
    [...curves.keys()].reverse().forEach((k) => {
      const points = curves[k].map(([t, r]) => `${px(x(t))},${px(y(r))}`);
      parts.push(`<polyline class="${k ? "other" : "shown"}" points="${points.join(" ")}"/>`);
    });
    parts.push(line("now", [x(state.strength), y(0)], [x(state.strength), 10]));
    parts.push(`<circle class="now" cx="${px(x(state.strength))}" cy="${px(y(rho))}" r="5"/>`);
    parts.push(`<text x="172" y="162">${name}</text><text x="8" y="73">ρ</text>`);
    return parts.join("");
  }

  const down = (x) => (Math.floor(x * 1e6) / 1e6).toFixed(6), up = (x) => (Math.ceil(x * 1e6) / 1e6).toFixed(6);
  const list = (rows) => rows.map((j) => j + 1).sort((a, b) => a - b).join(", ");

  /** What is known of value i, in words. Bounds are rounded outwards. */
  function words(result, i) {
    const item = result.items[i], who = `Value ${i + 1}${i === result.worst ? " (the worst)" : ""}`;
    if (item.twin >= 0) return `${who} coincides with value ${item.twin + 1}: ρᵢ = 0, no output tells them apart.`;
    if (item.inside) {
      return `${who} is no corner of the hull: ρᵢ = 0. It is a mixture of values ${list(item.support)}; ` +
        "whatever the output, one of these scores at least as high.";
    }
    const u = item.separator.map((x) => x.toFixed(3).replace("-", "−")).join(", ");
    return `${who}: ${down(item.lower)} ≤ ρᵢ ≤ ${up(item.upper)}. Separator (${u}). ` +
      `Binding: value${item.binding.length > 1 ? "s" : ""} ${list(item.binding)}.`;
  }

  return { down, plot, scene, SIZE, up, words };
})();

if (typeof document !== "undefined") {
  const start = { geometry: "sphere", n: 9, d: 2, strength: 0, seed: 0, whiten: false, normalise: false,
                  turn: 25, tilt: 20, look: 0 };

  const mount = (root) => {
    const { curve, decodability, geometries, hullEdges, values } = exploreMaths;
    const { down, plot, scene, SIZE, up, words } = explorePictures;
    const state = { ...start };
    let now = null, hovered = -1, curves = [], curveKey = "", curveTimer = 0, sayTimer = 0;

    const slider = (name, label, min, max, step) =>
      `<label data-row="${name}"><span><span data-label>${label}</span> <output data-out="${name}"></output></span>` +
      `<input type="range" data-in="${name}" min="${min}" max="${max}" step="${step}"></label>`;
    const options = Object.entries(geometries).map(([key, { name }]) => `<option value="${key}">${name}</option>`);
    root.innerHTML = `
      <div class="picture"><svg data-at="scene" role="img" viewBox="0 0 ${SIZE} ${SIZE}"></svg>
        <p class="legend"><span class="vertex">●</span> corner of the hull <span class="inside">◇</span> inside: ρᵢ = 0
          <span class="worst">◯</span> worst value, its most confusable partner dashed <span class="vertex">→</span>
          separator, longer for a larger ρᵢ. Point at a value to look at it, click to keep it<span class="turns">; drag
          to turn</span>.</p></div>
      <form class="controls" aria-label="Geometry">
        <label><span>Geometry</span><select data-in="geometry">${options.join("")}</select></label>
        <label><span>Dimension</span><select data-in="d"><option>2</option><option>3</option></select></label>
        ${slider("n", "Number of values", 3, 60, 1)}${slider("strength", "Strength", 0, 1, 0.01)}
        ${slider("seed", "Seed", 0, 50, 1)}
        <label class="tick"><input type="checkbox" data-in="whiten"> whiten</label>
        <label class="tick"><input type="checkbox" data-in="normalise"> then scale every value to length 1</label>
        ${slider("look", "Look at value", 0, 60, 1)}
        ${slider("turn", "Turn", -180, 180, 1)}${slider("tilt", "Tilt", -90, 90, 1)}
      </form>
      <div class="numbers"><p class="rho"><span data-at="rho"></span></p><p data-at="facts"></p>
        <p class="words" data-at="words"></p><p class="hidden" role="status" data-at="say"></p></div>
      <div class="curve"><svg data-at="curve" role="img" viewBox="0 0 300 168"></svg>
        <p class="legend"><span class="now">●</span> this picture; thin lines: four further seeds</p></div>`;
    const part = (name) => root.querySelector(`[data-at="${name}"]`);
    const input = (name) => root.querySelector(`[data-in="${name}"]`);
    const inputs = [...root.querySelectorAll("[data-in]")];

    const looked = () => (hovered >= 0 ? hovered : state.look ? state.look - 1 : now.result.worst);

    function draw() {
      const angle = Math.PI / 180;
      const view = { turn: state.turn * angle, tilt: state.tilt * angle };
      const picture = scene(now.rows, now.result, view, looked(), now.edges);
      part("scene").innerHTML = picture.svg;
      part("words").textContent = words(now.result, looked());
      now.at = picture.at;
    }

    function drawCurve() {
      const name = geometries[state.geometry].strength, { rho } = now.result;
      part("curve").innerHTML = plot(curves, state, rho);
      const [left, right] = [curves[0][0], curves[0].at(-1)].map(([t, r]) => `${r.toFixed(3)} at ${t}`);
      part("curve").setAttribute("aria-label",
        `Rho against the ${name}: ${left}, ${right}; the picture shows ${rho.toFixed(3)} at ${state.strength}.`);
    }

    /* The shown draw's curve at once, the other seeds one at a time, so that the controls never wait long. */
    function updateCurve() {
      const key = ["geometry", "n", "d", "seed", "whiten", "normalise"].map((name) => state[name]).join();
      if (key !== curveKey) {
        curveKey = key;
        clearTimeout(curveTimer);
        curves = [curve(state)];
        const more = () => {
          curves.push(curve({ ...state, seed: state.seed + 1000 * curves.length }));
          drawCurve();
          if (curves.length < 5) curveTimer = setTimeout(more, 20);
        };
        curveTimer = setTimeout(more, 150);
      }
      drawCurve();
    }

    function update() {
      const { rows, whitened } = values(state), result = decodability(rows), { items, worst } = result;
      now = { rows, result, edges: hullEdges(rows) };
      const pair = `${worst + 1} and ${items[worst].partner + 1}`;
      const facts = `${result.inside} of ${state.n} values inside the hull. Most confusable pair: ${pair}.` +
        (state.whiten && !whitened ? " Not whitened: the values lie in a plane or on a line." : "");
      part("rho").textContent = result.rhoUpper > 1e-9 ? `${down(result.rho)} ≤ ρ ≤ ${up(result.rhoUpper)}` : "ρ = 0";
      part("facts").textContent = facts;
      part("scene").setAttribute("aria-label", `${state.n} values in ${state.d} dimensions with their separators. ${facts}`);
      clearTimeout(sayTimer);
      sayTimer = setTimeout(() => { part("say").textContent = `rho is ${result.rho.toFixed(6)}. ${facts}`; }, 600);
      draw();
      updateCurve();
    }

    /* Writes the state into the controls: their ranges depend on it. */
    function show() {
      const { strength: name, range: [low, high] } = geometries[state.geometry];
      root.querySelector('[data-row="strength"] [data-label]').textContent = name[0].toUpperCase() + name.slice(1);
      Object.assign(input("strength"), { min: low, max: high });
      input("look").max = state.n;
      for (const control of inputs) {
        const key = control.dataset.in, out = root.querySelector(`[data-out="${key}"]`);
        control[control.type === "checkbox" ? "checked" : "value"] = state[key];
        if (out) out.textContent = key === "look" && !state.look ? "the worst" : state[key] + (key[0] === "t" ? "°" : "");
      }
      input("look").setAttribute("aria-valuetext", state.look ? `value ${state.look}` : "the worst value");
      for (const key of ["turn", "tilt"]) root.querySelector(`[data-row="${key}"]`).hidden = state.d === 2;
      root.classList.toggle("solid", state.d === 3);
    }

    root.addEventListener("submit", (event) => event.preventDefault());
    root.addEventListener("input", ({ target }) => {
      const key = target.dataset.in;
      state[key] = target.type === "checkbox" ? target.checked : key === "geometry" ? target.value : Number(target.value);
      if (key === "geometry") state.strength = geometries[state.geometry].start;
      state.look = Math.min(state.look, state.n);
      hovered = -1;
      show();
      if (["look", "turn", "tilt"].includes(key)) draw();
      else update();
    });

    /* Pointer: near a value it is looked at, a click keeps it; in 3D a drag turns the picture. */
    const svg = part("scene");
    let drag = null;
    const nearest = ({ clientX, clientY }) => {
      const box = svg.getBoundingClientRect(), scale = SIZE / box.width;
      const gaps = now.at.map(([x, y]) => Math.hypot(x - (clientX - box.left) * scale, y - (clientY - box.top) * scale));
      const i = gaps.indexOf(Math.min(...gaps));
      return gaps[i] < 22 * Math.max(1, scale) ? i : -1;
    };
    svg.addEventListener("pointerdown", (event) => { drag = { x: event.clientX, y: event.clientY, moved: false }; });
    svg.addEventListener("pointermove", (event) => {
      const dx = drag ? event.clientX - drag.x : 0, dy = drag ? event.clientY - drag.y : 0;
      if (drag && state.d === 3 && (drag.moved || Math.hypot(dx, dy) > 4)) {
        if (!drag.moved) svg.setPointerCapture(event.pointerId);
        state.turn = ((state.turn + Math.round(dx / 2) + 540) % 360) - 180;
        state.tilt = Math.max(-90, Math.min(90, state.tilt + Math.round(dy / 2)));
        drag = { x: event.clientX, y: event.clientY, moved: true };
        show();
        draw();
      } else if (!drag && nearest(event) !== hovered) {
        hovered = nearest(event);
        draw();
      }
    });
    svg.addEventListener("pointerup", (event) => {
      if (drag && !drag.moved) {
        state.look = nearest(event) + 1;
        hovered = -1;
        show();
        draw();
      }
      drag = null;
    });
    svg.addEventListener("pointercancel", () => { drag = null; });
    svg.addEventListener("pointerleave", () => {
      drag = null;
      if (hovered >= 0) {
        hovered = -1;
        draw();
      }
    });

    show();
    update();
  };

  const begin = () => document.querySelectorAll("[data-explore]").forEach(mount);
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin);
  else begin();
}
