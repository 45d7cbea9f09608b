/* Values in 2 or 3 dimensions and their decodability, without a library and without a page.

   With z_ij = (v_i - v_j) / |v_i - v_j|, value i's decodability and separator are

       rho_i = max_{|u| <= 1} min_{j != i} <z_ij, u> = distance from 0 to conv{z_ij : j != i}.

   A unit u proves a lower bound, a convex combination p of the z_ij the upper bound |p|. */
"use strict";

const exploreMaths = (() => {
  const INSIDE = 1e-9; // an upper bound this small means: not a vertex of the hull
  const FLAT = 1e-13; // directions this close to dependent span nothing new

  function dot(a, b) {
    let sum = 0;
    for (let k = 0; k < a.length; k++) sum += a[k] * b[k];
    return sum;
  }
  const minus = (a, b) => a.map((x, k) => x - b[k]);
  const plus = (a, b, t) => a.map((x, k) => x + t * b[k]);
  const times = (a, t) => a.map((x) => x * t);
  const norm = (a) => Math.sqrt(dot(a, a));
  const unit = (a) => times(a, 1 / norm(a));

  // ---- the point of a hull nearest to 0 --------------------------------------------------------------------

  /** Weights of the point of the affine hull of z[0], z[1], ... nearest to 0, or null where that is no convex
      combination or the z are affinely dependent (then fewer of them have the same hull). */
  function affineWeights(z) {
    const basis = [], scale = [], upper = [];
    for (const edge of z.slice(1).map((point) => minus(point, z[0]))) {
      const size = norm(edge);
      if (!(size > 0)) return null;
      let q = times(edge, 1 / size);
      const column = basis.map(() => 0);
      for (let pass = 0; pass < 2; pass++) { // the second pass keeps nearly parallel edges orthogonal
        basis.forEach((b, k) => {
          const part = dot(b, q);
          column[k] += part;
          q = plus(q, b, -part);
        });
      }
      const rest = norm(q);
      if (rest < FLAT) return null;
      basis.push(times(q, 1 / rest));
      upper.push([...column, rest]);
      scale.push(size);
    }
    const weights = basis.map((b) => -dot(b, z[0]));
    for (let k = basis.length - 1; k >= 0; k--) { // back substitution
      weights[k] /= upper[k][k];
      for (let r = 0; r < k; r++) weights[r] -= upper[k][r] * weights[k];
    }
    const rest = weights.map((w, k) => w / scale[k]);
    const all = [1 - rest.reduce((sum, w) => sum + w, 0), ...rest];
    return all.every((w) => w >= 0) ? all : null;
  }

  const mix = (z, weights) => z.reduce((sum, point, k) => plus(sum, point, weights[k]), times(z[0], 0));

  /** The shortest convex combination met on the faces that `added` forms with at most d of `support`. */
  function shortestOnFaces(z, support, added) {
    let best = { size: Infinity };
    for (let choice = 0; choice < 1 << support.length; choice++) {
      const face = [added, ...support.filter((_, k) => (choice >> k) & 1)];
      if (face.length > z[0].length + 1) continue;
      const points = face.map((j) => z[j]);
      const weights = affineWeights(points);
      if (weights === null) continue;
      const point = mix(points, weights), size = norm(point);
      if (size < best.size) best = { size, point, weights, support: face };
    }
    return best;
  }

  /** Nearest point to 0 of conv z, with its certificate. Each step adds the point most against the direction
      found and takes the best face: the length falls at every step, so no face comes twice. */
  function nearest(z) {
    let best = { size: norm(z[0]), point: z[0], weights: [1], support: [0] };
    for (let step = 0; step < 500 && best.size > 1e-15; step++) {
      const scores = z.map((point) => dot(point, best.point));
      const added = scores.indexOf(Math.min(...scores));
      if (best.support.includes(added)) break;
      const next = shortestOnFaces(z, best.support, added);
      if (!(next.size < best.size)) break;
      best = next;
    }
    const direction = best.size > 0 ? unit(best.point) : z[0];
    const scores = z.map((point) => dot(point, direction));
    const lower = Math.max(0, Math.min(...scores));
    return { ...best, direction, scores, lower, upper: Math.max(best.size, lower) };
  }

  /** Bounds on every rho_i and what proves them, for values of one dimension (at most 3 is quick).
      items[i]: lower, upper, inside, twin (an exact duplicate or -1), separator (null inside the hull),
      support and weights (the values behind the upper bound), binding (those the separator meets first),
      partner (the most confusable value). rho, rhoUpper: bounds on the smallest; worst: the row that sets it. */
  function decodability(values) {
    const items = values.map((value, i) => {
      const twin = values.findIndex((other, j) => j !== i && other.every((x, k) => x === value[k]));
      if (twin >= 0) {
        return { lower: 0, upper: 0, inside: true, twin, separator: null, support: [twin], weights: [1],
                 binding: [twin], partner: twin };
      }
      const others = values.map((_, j) => j).filter((j) => j !== i);
      const found = nearest(others.map((j) => unit(minus(value, values[j]))));
      const inside = found.upper <= INSIDE;
      const support = found.support.map((k) => others[k]);
      return {
        lower: inside ? 0 : found.lower,
        upper: found.upper,
        inside,
        twin: -1,
        separator: inside ? null : found.direction,
        support,
        weights: found.weights,
        binding: inside ? support : others.filter((_, k) => found.scores[k] <= found.lower + 1e-7),
        partner: support[found.weights.indexOf(Math.max(...found.weights))],
      };
    });
    const lower = items.map((item) => item.lower), upper = items.map((item) => item.upper);
    const rho = Math.min(...lower), rhoUpper = Math.max(rho, Math.min(...upper));
    return { items, rho, rhoUpper, worst: lower.indexOf(rho), inside: items.filter((item) => item.inside).length };
  }

  // ---- geometries ------------------------------------------------------------------------------------------

  /** Standard normal numbers from a seed (mulberry32, Box and Muller). */
  function normals(seed) {
    let a = Math.imul(seed + 1, 0x9e3779b9) | 0;
    const uniform = () => {
      a = (a + 0x6d2b79f5) | 0;
      let t = Math.imul(a ^ (a >>> 15), 1 | a);
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
      return (((t ^ (t >>> 14)) >>> 0) + 0.5) / 4294967296;
    };
    return () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
  }

  /** n points spread evenly: a regular polygon; in 3D the triangle, the regular simplex (n = 4), the octahedron
      (n = 6), else a spiral on the sphere. */
  function even(n, d) {
    const turn = (k, m) => [Math.cos((2 * Math.PI * k) / m), Math.sin((2 * Math.PI * k) / m)];
    const rows = Array.from({ length: n }, (_, k) => k);
    if (d === 2) return rows.map((k) => turn(k, n));
    if (n === 3) return rows.map((k) => [...turn(k, 3), 0]);
    if (n === 4) return [[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]].map(unit);
    if (n === 6) return rows.map((k) => [0, 1, 2].map((axis) => (axis === k >> 1 ? 1 - 2 * (k & 1) : 0)));
    return rows.map((k) => {
      const height = 1 - (2 * k + 1) / n, radius = Math.sqrt(1 - height * height);
      return [...turn(k * (Math.sqrt(5) - 1) / 2, 1).map((x) => x * radius), height];
    });
  }

  /* make(z, e, t, d, i): value i from its normal numbers z (d of them) and e (one), at strength t. Rows are drawn
     one after the other and never reused: another strength moves the same values, a larger n adds new ones. */
  const first = (d, x) => Array.from({ length: d }, (_, k) => (k ? 0 : x));
  const geometries = {
    sphere: { name: "uniform on the sphere", strength: "spread of the lengths", range: [0, 0.2], start: 0,
              make: (z, e, t) => times(unit(z), Math.exp(t * e)) },
    gaussian: { name: "Gaussian", strength: "stretch of one axis", range: [1, 8], start: 1,
                make: (z, e, t, d) => plus(z, first(d, z[0]), t - 1) },
    spiked: { name: "spiked", strength: "strength β of the spike", range: [0, 6], start: 1,
              make: (z, e, t, d) => unit(plus(unit(z), first(d, e), t)) },
    clusters: { name: "four clusters on the sphere", strength: "spread of a cluster", range: [0.02, 1], start: 0.2,
                make: (z, e, t, d, i) => unit(plus(even(4, d)[i % 4], z, t)) },
    even: { name: "evenly spread", strength: "jitter", range: [0, 0.4], start: 0,
               make: (z, e, t, d, i, n) => plus(even(n, d)[i], z, t) },
  };

  function draw({ geometry, n, d, strength, seed }) {
    const normal = normals(seed), make = geometries[geometry].make;
    return Array.from({ length: n }, (_, i) => {
      const z = [normal(), normal(), normal()].slice(0, d);
      return make(z, normal(), strength, d, i, n);
    });
  }

  /** Eigenvalues and eigenvectors (as rows) of a small symmetric matrix, by Jacobi's rotations. */
  function eigen(matrix) {
    const d = matrix.length, a = matrix.map((row) => [...row]);
    const axes = a.map((_, i) => a.map((_, j) => (i === j ? 1 : 0)));
    for (let sweep = 0; sweep < 60; sweep++) {
      for (let p = 0; p < d; p++) {
        for (let q = p + 1; q < d; q++) {
          const angle = 0.5 * Math.atan2(2 * a[p][q], a[p][p] - a[q][q]);
          const c = Math.cos(angle), s = Math.sin(angle);
          const rotate = (x, y) => [c * x + s * y, c * y - s * x];
          for (const row of a) [row[p], row[q]] = rotate(row[p], row[q]);
          for (let k = 0; k < d; k++) {
            [a[p][k], a[q][k]] = rotate(a[p][k], a[q][k]);
            [axes[p][k], axes[q][k]] = rotate(axes[p][k], axes[q][k]);
          }
        }
      }
    }
    return { variance: a.map((row, k) => row[k]), axes };
  }

  /** (V - mean) S^(-1/2) with S the covariance, or null where S is singular (values on a line or a plane). */
  function whiten(values) {
    const d = values[0].length, centre = times(values.reduce((a, b) => plus(a, b, 1)), 1 / values.length);
    const x = values.map((value) => minus(value, centre));
    const S = centre.map((_, p) => centre.map((_, q) => x.reduce((sum, row) => sum + row[p] * row[q], 0) / x.length));
    const { variance, axes } = eigen(S);
    if (!(Math.min(...variance) > Math.max(...variance) * d * 1e-15)) return null;
    return x.map((row) => axes.reduce(
      (sum, axis, k) => plus(sum, axis, dot(row, axis) / Math.sqrt(variance[k])), times(row, 0)));
  }

  /** The values that the controls ask for, and whether whitening was possible. */
  function values(state) {
    let rows = draw(state), whitened = false;
    if (state.whiten) {
      const white = whiten(rows);
      whitened = white !== null;
      rows = white ?? rows;
    }
    if (state.normalise) rows = rows.map((row) => (norm(row) > 0 ? unit(row) : row));
    return { rows, whitened };
  }

  /** Lower bounds of rho at `steps` strengths over the whole range, everything else as in state. */
  function curve(state, steps = 15) {
    const [low, high] = geometries[state.geometry].range;
    return Array.from({ length: steps }, (_, k) => {
      const strength = low + ((high - low) * k) / (steps - 1);
      return [strength, decodability(values({ ...state, strength }).rows).rho];
    });
  }

  /** Pairs of values joined by an edge of the hull; several triangles of one flat face may all be listed. */
  function hullEdges(rows) {
    const d = rows[0].length, pairs = new Set();
    const reach = Math.max(...rows.map((row) => norm(minus(row, rows[0]))));
    const onOneSide = (normal, point) => {
      const slack = 1e-9 * reach * norm(normal), height = dot(normal, point);
      let above = false, below = false;
      for (let r = 0; r < rows.length && !(above && below); r++) {
        const side = dot(normal, rows[r]) - height;
        above ||= side > slack;
        below ||= side < -slack;
      }
      return slack > 0 && !(above && below);
    };
    for (let i = 0; i < rows.length; i++) {
      for (let j = i + 1; j < rows.length; j++) {
        const a = minus(rows[j], rows[i]);
        if (d === 2 && onOneSide([-a[1], a[0]], rows[i])) pairs.add(`${i} ${j}`);
        for (let k = j + 1; d === 3 && k < rows.length; k++) {
          const b = minus(rows[k], rows[i]);
          const cross = [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
          if (onOneSide(cross, rows[i])) [`${i} ${j}`, `${i} ${k}`, `${j} ${k}`].forEach((pair) => pairs.add(pair));
        }
      }
    }
    return [...pairs].map((pair) => pair.split(" ").map(Number));
  }

  return { curve, decodability, dot, draw, even, geometries, hullEdges, minus, nearest, norm, plus, times, unit,
           values, whiten };
})();
