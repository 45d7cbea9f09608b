/* A memory of facts in the browser, without a library and without a page: asking it, searching its names, changing a fact.

   The network is g(x) = D enc(x) with step gates: the units of bucket b are open where <direction, x> > threshold b - 1
   (those of bucket 0 always), and enc(x) adds up A_b x over the open buckets. The keys of bucket b get their codes from
   S_b = A_0 + ... + A_b, which solves S_b k = code for each of them. Everything is computed in float64 from the float32
   weights. */
"use strict";

const askMaths = (() => {
  const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const PLACE = Uint8Array.from({ length: 128 }, (_, code) => Math.max(0, LETTERS.indexOf(String.fromCharCode(code))));

  /** The bytes of a base64 text, as a buffer. */
  function bytes(text) {
    const length = (text.length / 4) * 3 - (text.endsWith("==") ? 2 : text.endsWith("=") ? 1 : 0);
    const all = new Uint8Array(length);
    for (let at = 0, to = 0; at < text.length; at += 4) {
      let four = 0;
      for (let k = 0; k < 4; k++) four = (four << 6) | PLACE[text.charCodeAt(at + k)];
      for (let k = 16; k >= 0 && to < length; k -= 8) all[to++] = four >> k;
    }
    return all.buffer;
  }

  /** <a[at : at + d], b[from : from + d]> */
  function dot(a, at, b, from, d) {
    let sum = 0;
    for (let k = 0; k < d; k++) sum += a[at + k] * b[from + k];
    return sum;
  }

  /** Rows of int8 with the factors that make them unit vectors. */
  function unitRows(text, d) {
    const rows = new Int8Array(bytes(text));
    const scale = Float64Array.from({ length: rows.length / d }, (_, i) => 1 / Math.sqrt(dot(rows, i * d, rows, i * d, d)));
    return { rows, scale, count: scale.length };
  }

  /** The memory of what ask_pages.py wrote. `answers` is what every key should answer: the facts, later as edited. */
  function open(data) {
    const { d, m, v } = data, float32 = (text) => new Float32Array(bytes(text));
    const memory = {
      ...data,
      keys: unitRows(data.keys, d), values: unitRows(data.values, d), asked: unitRows(data.asked, d),
      answers: Int32Array.from(v <= 256 ? new Uint8Array(bytes(data.targets)) : new Int32Array(bytes(data.targets))),
      direction: float32(data.direction), thresholds: float32(data.thresholds), up: float32(data.up),
      down: float32(data.down), codes: float32(data.codes), folded: [...data.names, ...data.questions].map(fold),
    };
    memory.projected = project(memory); // (v, m): value j scores <enc(x), w_j> with w_j = D^T v_j
    memory.buckets = Uint16Array.from({ length: data.n }, (_, i) => encode(memory, memory.keys, i).bucket);
    let least = Infinity; // between two codes
    for (let a = 0; a < v; a++)
      for (let b = 0; b < a; b++) least = Math.min(least, distance(memory.codes, a * m, memory.codes, b * m, m));
    memory.near = least / 20; // a tenth of the way to where another value begins
    return memory;
  }

  function project({ d, m, v, values, down }) {
    const projected = new Float64Array(v * m);
    for (let j = 0; j < v; j++)
      for (let k = 0; k < d; k++)
        for (let r = 0; r < m; r++) projected[j * m + r] += values.scale[j] * values.rows[j * d + k] * down[k * m + r];
    return projected;
  }

  function distance(a, at, b, from, d) {
    let sum = 0;
    for (let k = 0; k < d; k++) sum += (a[at + k] - b[from + k]) ** 2;
    return Math.sqrt(sum);
  }

  /** enc of row i of `rows`, and the last bucket whose units are open. */
  function encode({ d, m, direction, thresholds, up }, { rows, scale }, i) {
    const score = dot(direction, 0, rows, i * d, d) * scale[i], code = new Float64Array(m);
    let bucket = 0;
    while (bucket < thresholds.length && score > thresholds[bucket]) bucket++;
    for (let unit = 0; unit < (bucket + 1) * m; unit++) code[unit % m] += dot(up, unit * d, rows, i * d, d);
    return { bucket, code: code.map((x) => x * scale[i]) };
  }

  /** The value that a code decodes to: the largest score. */
  function decode({ m, v, projected }, code) {
    let best = 0, most = -Infinity;
    for (let j = 0; j < v; j++) {
      const score = dot(projected, j * m, code, 0, m);
      if (score > most) [best, most] = [j, score];
    }
    return best;
  }

  /** What row i of `rows` (keys or questions) is answered: the value, its normalised margin
      min_j <g, v_a - v_j> / (|g| |v_a - v_j|), whether the code is that of the value, and the nearest value. */
  function ask(memory, rows, i) {
    const { d, m, v, values, projected, codes, down, near } = memory, { bucket, code } = encode(memory, rows, i);
    const value = decode(memory, code), output = new Float64Array(d);
    for (let k = 0; k < d; k++) output[k] = dot(down, k * m, code, 0, m);
    const size = Math.sqrt(dot(output, 0, output, 0, d)), own = dot(projected, value * m, code, 0, m);
    let margin = Infinity, nearest = 0, closest = -Infinity;
    for (let j = 0; j < v; j++) {
      if (j !== value) {
        const cosine = dot(values.rows, value * d, values.rows, j * d, d) * values.scale[value] * values.scale[j];
        const apart = Math.sqrt(2 - 2 * cosine), gap = own - dot(projected, j * m, code, 0, m);
        margin = Math.min(margin, gap / (size * apart));
      }
      const score = dot(values.rows, j * d, rows.rows, i * d, d) * values.scale[j];
      if (score > closest) [nearest, closest] = [j, score];
    }
    return { value, margin, bucket, known: distance(code, 0, codes, value * m, m) <= near, nearest };
  }

  /** How many of the keys from ... to - 1 do not answer as `answers` says. */
  function countWrong(memory, from, to) {
    let wrong = 0;
    for (let i = from; i < to; i++) wrong += decode(memory, encode(memory, memory.keys, i).code) !== memory.answers[i];
    return wrong;
  }

  // ---- changing a fact -------------------------------------------------------------------------------------------

  /** Solves G x = b for every column of b (s, m), in place, with G (s, s) symmetric and positive definite: Cholesky.
      Returns a function, as the factor serves twice. */
  function cholesky(G, s) {
    for (let i = 0; i < s; i++) {
      for (let j = 0; j <= i; j++) {
        const rest = G[i * s + j] - dot(G, i * s, G, j * s, j);
        if (i === j && !(rest > 0)) throw new Error("the keys of this bucket depend on each other");
        G[i * s + j] = i === j ? Math.sqrt(rest) : rest / G[j * s + j];
      }
    }
    return (b, m) => {
      for (let r = 0; r < m; r++) {
        for (let i = 0; i < s; i++) {
          for (let k = 0; k < i; k++) b[i * m + r] -= G[i * s + k] * b[k * m + r];
          b[i * m + r] /= G[i * s + i];
        }
        for (let i = s - 1; i >= 0; i--) {
          for (let k = i + 1; k < s; k++) b[i * m + r] -= G[k * s + i] * b[k * m + r];
          b[i * m + r] /= G[i * s + i];
        }
      }
      return b;
    };
  }

  /** The smallest S (m, d) with S k = code for every key of `members`: S = C^T (K K^T)^-1 K, refined once. */
  function solve({ d, m, keys, codes, answers }, members) {
    const s = members.length, K = new Float64Array(s * d), G = new Float64Array(s * s), S = new Float64Array(m * d);
    members.forEach((i, row) => {
      for (let k = 0; k < d; k++) K[row * d + k] = keys.rows[i * d + k] * keys.scale[i];
    });
    for (let i = 0; i < s; i++) for (let j = 0; j <= i; j++) G[i * s + j] = dot(K, i * d, K, j * d, d);
    const solved = cholesky(G, s);
    const missing = () => Float64Array.from({ length: s * m }, (_, at) => {
      const row = Math.floor(at / m), r = at % m;
      return codes[answers[members[row]] * m + r] - dot(S, r * d, K, row * d, d);
    });
    for (let pass = 0; pass < 2; pass++) {
      const x = solved(missing(), m);
      for (let row = 0; row < s; row++)
        for (let r = 0; r < m; r++) for (let k = 0; k < d; k++) S[r * d + k] += x[row * m + r] * K[row * d + k];
    }
    return { S, residual: missing().reduce((most, x) => Math.max(most, Math.abs(x)), 0) };
  }

  /** From now on key i answers value j: its bucket is solved again, and the units of this bucket and of the next, which
      takes back what this one adds, get new weights. Returns what changed and a function that puts all back. */
  function edit(memory, i, j) {
    const { d, m, up, answers, buckets, thresholds } = memory, bucket = buckets[i], size = m * d, at = bucket * size;
    const members = [...buckets.keys()].filter((k) => buckets[k] === bucket);
    const old = { answer: answers[i], up: up.slice(at, at + 2 * size) };
    const undo = () => { answers[i] = old.answer; up.set(old.up, at); };
    answers[i] = j;
    try {
      const { S, residual } = solve(memory, members), last = bucket === thresholds.length;
      const below = new Float64Array(size);
      for (let k = 0; k < at; k++) below[k % size] += up[k];
      for (let k = 0; k < size; k++) {
        const next = last ? 0 : below[k] + up[at + k] + up[at + size + k];
        up[at + k] = S[k] - below[k];
        if (!last) up[at + size + k] = next - below[k] - up[at + k];
      }
      return { bucket, equations: members.length, units: last ? m : 2 * m, residual, undo };
    } catch (error) {
      undo();
      throw error;
    }
  }

  // ---- names -----------------------------------------------------------------------------------------------------

  const fold = (text) => text.normalize("NFD").replace(/[\u0300-\u036f]/g, "").toLowerCase().replace(/[^\p{L}\p{N}]+/gu, " ").trim();

  /** Rows of names (keys first, then the questions) that hold every word typed as the beginning of one of theirs; those
      that begin as typed come first, shorter ones before longer ones. */
  function search({ folded }, typed, most = 8) {
    const words = fold(typed).split(" ").filter(Boolean), found = [];
    if (!words.length) return found;
    folded.forEach((name, row) => {
      if (words.every((word) => ` ${name}`.includes(` ${word}`))) found.push([name.startsWith(words.join(" ")) ? 0 : 1, name.length, row]);
    });
    return found.sort((a, b) => a[0] - b[0] || a[1] - b[1] || a[2] - b[2]).slice(0, most).map(([, , row]) => row);
  }

  return { ask, bytes, countWrong, edit, encode, fold, open, search, solve };
})();
