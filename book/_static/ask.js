/* The box "Ask it here": a combobox of names, the memory's answer, and a fact to change. Needs ask_maths.js. The memory
   itself is a script that is loaded when the box is first used: a page opened from the disk may load nothing else. */
"use strict";

/** What the box says, without a page. */
const askWords = (() => {
  const small = (x) => {
    const [digits, power] = x.toExponential(1).split("e");
    const up = [...String(Number(power))].map((c) => (c === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[c])).join("");
    return `${digits} × 10${up}`;
  };
  const number = (x) => x.toLocaleString("en");

  /** The memory's answer to row i of keys or questions: a headline and a line below it. */
  function answer(memory, found, right) {
    const name = memory.valueNames[found.value];
    if (!found.known) return ["I don't know", "The code that it gets is no country's: this is no stored key."];
    const truth = right === undefined || right === found.value ? "" : ` (stored: ${memory.valueNames[right]})`;
    return [name + truth, `normalised margin ${small(found.margin)}, bucket ${found.bucket + 1}`];
  }

  /** The nearest country, and whether it is what is stored. */
  function nearest(memory, found, right) {
    const verdict = right === undefined ? "always answers" : found.nearest === right ? "as stored" : "not as stored";
    return [memory.valueNames[found.nearest], verdict];
  }

  const counted = (memory, done, wrong) => done < memory.n
    ? `Asking all airports: ${number(done)} of ${number(memory.n)} …`
    : `Asked all ${number(memory.n)} airports: ${number(memory.n - wrong)} answer as stored, ${number(wrong)} do not.`;

  /** What an edit took, and how many of the others changed. */
  function edited(memory, name, country, { bucket, equations, units }, milliseconds, done, wrong) {
    const first = `${name} → ${country}: bucket ${bucket + 1} solved again, ${equations} equations, ` +
      `${Math.max(1, Math.round(milliseconds))} ms; ${units} of ${memory.up.length / memory.d} hidden units changed. `;
    return first + (done < memory.n ? `Asking the others: ${number(done)} of ${number(memory.n)} …`
      : `Of the other ${number(memory.n - 1)} answers, ${number(wrong)} changed.`);
  }

  return { answer, counted, edited, nearest };
})();

if (typeof document !== "undefined") {
  const CHUNK = 500; // keys asked at a time, between which the page answers the reader

  /** The memory, once; the script calls askData. */
  let loading = null;
  const load = (address) => loading ??= new Promise((resolve, reject) => {
    globalThis.askData = (data) => resolve(askMaths.open(data));
    const script = document.createElement("script");
    script.src = address;
    script.onerror = () => { loading = null; script.remove(); reject(new Error("The memory could not be loaded.")); };
    document.head.append(script);
  });

  const mount = (root, number) => {
    const id = (name) => `ask-${number}-${name}`;
    root.innerHTML = `
      <div class="field"><label for="${id("input")}">Airport or question</label>
        <input id="${id("input")}" type="text" role="combobox" autocomplete="off" spellcheck="false" aria-expanded="false"
          aria-autocomplete="list" aria-controls="${id("list")}" aria-describedby="${id("state")}">
        <ul id="${id("list")}" role="listbox" aria-label="Names that match" hidden></ul></div>
      <p class="state" id="${id("state")}" data-at="state">The memory, ${root.dataset.size} MB, is loaded when you type.</p>
      <dl class="answers" aria-live="polite" hidden>
        <div><dt>The memory</dt><dd data-at="answer"></dd><dd class="more" data-at="margin"></dd></div>
        <div><dt>The nearest country</dt><dd data-at="nearest"></dd><dd class="more" data-at="verdict"></dd></div></dl>
      <form class="edit" hidden><label for="${id("value")}">From now on it answers</label>
        <select id="${id("value")}"></select><button type="submit">Change the fact</button>
        <button type="button" data-at="undo" disabled>Take it back</button></form>
      <p class="count" role="status" data-at="count"></p>`;
    const part = (name) => root.querySelector(`[data-at="${name}"]`);
    const [input, list, form, select] = ["input", "ul", "form", "select"].map((name) => root.querySelector(name));
    let memory = null, rows = [], active = -1, chosen = null, undos = [];
    const runs = { state: 0, count: 0 };

    async function begin() {
      if (memory) return memory;
      part("state").textContent = `Loading the memory, ${root.dataset.size} MB …`;
      try {
        memory = await load(root.dataset.ask);
      } catch (error) {
        part("state").textContent = error.message;
        throw error;
      }
      const sorted = memory.valueNames.map((name, j) => [name, j]).sort((a, b) => a[0].localeCompare(b[0], "en"));
      select.append(...sorted.map(([name, j]) => new Option(name, j)));
      recount("state", (done, wrong) => { part("state").textContent = askWords.counted(memory, done, wrong); });
      return memory;
    }

    /** Asks every key, a chunk at a time, for one of two lines; a later count for that line ends this one. */
    function recount(line, say) {
      const mine = ++runs[line];
      let at = 0, wrong = 0;
      const step = () => {
        if (mine !== runs[line]) return;
        const to = Math.min(memory.n, at + CHUNK);
        wrong += askMaths.countWrong(memory, at, to);
        at = to;
        say(at, wrong);
        if (at < memory.n) setTimeout(step);
      };
      setTimeout(step);
    }

    const nameOf = (row) => row < memory.n ? memory.names[row] : memory.questions[row - memory.n];

    function close() {
      list.hidden = true;
      active = -1;
      input.setAttribute("aria-expanded", "false");
      input.removeAttribute("aria-activedescendant");
    }

    function offer() {
      rows = askMaths.search(memory, input.value);
      active = -1;
      input.removeAttribute("aria-activedescendant");
      list.replaceChildren(...rows.map((row, k) => {
        const item = document.createElement("li");
        Object.assign(item, { id: id(`option-${k}`), role: "option", textContent: nameOf(row) });
        item.setAttribute("aria-selected", "false");
        if (row >= memory.n) item.append(Object.assign(document.createElement("small"), { textContent: " not stored" }));
        return item;
      }));
      list.hidden = !rows.length;
      input.setAttribute("aria-expanded", String(rows.length > 0));
    }

    function mark(to) {
      active = (to + rows.length) % rows.length;
      [...list.children].forEach((item, k) => item.setAttribute("aria-selected", String(k === active)));
      input.setAttribute("aria-activedescendant", id(`option-${active}`));
      list.children[active].scrollIntoView({ block: "nearest" });
    }

    function show() {
      const stored = chosen !== null && chosen < memory.n;
      const found = chosen === null ? null
        : stored ? askMaths.ask(memory, memory.keys, chosen) : askMaths.ask(memory, memory.asked, chosen - memory.n);
      const right = stored ? memory.answers[chosen] : undefined;
      const [name, margin] = found ? askWords.answer(memory, found, right)
        : ["I don't know", "No stored name begins like that, and this page cannot embed new ones."];
      const [nearest, verdict] = found ? askWords.nearest(memory, found, right) : ["–", "no embedding"];
      const words = { answer: name, margin, nearest, verdict };
      for (const [key, text] of Object.entries(words)) part(key).textContent = text;
      root.querySelector("dl").hidden = false;
      form.hidden = !stored;
      if (stored) select.value = memory.answers[chosen];
    }

    function choose(row) {
      chosen = row ?? null;
      if (row !== undefined) input.value = nameOf(row);
      close();
      show();
    }

    input.addEventListener("focus", () => begin().catch(() => {}));
    input.addEventListener("input", () => begin().then(offer, () => {}));
    input.addEventListener("blur", () => setTimeout(close, 150)); // after a click in the list
    input.addEventListener("keydown", (event) => {
      if (!memory) return;
      const { key } = event;
      if (key === "ArrowDown" || key === "ArrowUp") {
        event.preventDefault();
        if (list.hidden) offer();
        if (rows.length) mark(key === "ArrowDown" ? active + 1 : active < 0 ? -1 : active - 1);
      } else if (key === "Enter" && input.value.trim()) {
        event.preventDefault();
        if (list.hidden) offer();
        choose(rows[Math.max(0, active)]);
      } else if (key === "Escape") {
        if (list.hidden) input.value = "";
        close();
      }
    });
    list.addEventListener("pointerdown", (event) => event.preventDefault()); // the focus stays in the field
    list.addEventListener("click", ({ target }) => {
      const item = target.closest("li");
      if (item) choose(rows[[...list.children].indexOf(item)]);
    });

    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const row = chosen, value = Number(select.value), start = performance.now();
      const done = askMaths.edit(memory, row, value), took = performance.now() - start;
      undos.push(done.undo);
      part("undo").disabled = false;
      show();
      const failed = Number(askMaths.ask(memory, memory.keys, row).value !== value);
      recount("count", (at, all) => {
        const wrong = all - (at > row ? failed : 0);
        const text = askWords.edited(memory, memory.names[row], memory.valueNames[value], done, took, at, wrong);
        part("count").textContent = text;
      });
    });
    part("undo").addEventListener("click", () => {
      undos.pop()();
      part("undo").disabled = !undos.length;
      show();
      recount("count", (at, wrong) => { part("count").textContent = `Taken back. ${askWords.counted(memory, at, wrong)}`; });
    });
  };

  const begin = () => document.querySelectorAll("[data-ask]").forEach(mount);
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin);
  else begin();
}
