// The browser of examples: search, filters, two conditions compared, one example side by side.

const box = document.getElementById("browser");

class View {
  constructor(run) {
    this.run = run;
    this.search = new Search(run);
    this.form = box.querySelector("form");
    this.fields = this.form.elements;
    this.list = document.getElementById("browser-list");
    this.space = this.list.firstElementChild;
    this.article = document.getElementById("browser-example");
    this.status = document.getElementById("browser-status");
    this.steps = [...box.querySelectorAll("[data-step]")];
    this.found = []; // examples that are listed, in order
    this.values = new Map(); // example → what it is ordered by, as printed
    this.current = null; // example that is shown
    this.turn = 0; // counts what was asked for, so that an answer that comes late is dropped
    this.rowHeight = 3.25 * parseFloat(getComputedStyle(document.documentElement).fontSize);
    this.#startingValues();
    this.#listen();
  }

  /** A and B are the first two models, under the first metric of the main table. */
  #startingValues() {
    const { columns, conditions } = this.run, models = conditions.filter((c) => !c.human);
    const [a, b] = [...models, ...conditions, ...conditions];
    this.start = { metric: (columns.find((c) => c.main) ?? columns[0]).key, a: a.key, b: b.key };
    for (const [name, value] of Object.entries(this.start)) {
      const options = [...this.fields[name].options];
      for (const option of options) option.defaultSelected = option.value === value;
      this.fields[name].value = value;
    }
  }

  #listen() {
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.addEventListener("input", async ({ target }) => {
      const stays = ["shared", "model", "prompt"].includes(target.name);
      await this.refresh(stays ? this.current : undefined);
      this.#address();
    });
    this.form.addEventListener("reset", () => setTimeout(async () => {
      await this.refresh();
      this.#address();
    }));
    this.fields.q.addEventListener("focus", () => this.search.ready(), { once: true });
    this.list.addEventListener("scroll", () => this.#rows(), { passive: true });
    this.list.addEventListener("click", (event) => {
      const row = event.target.closest("[data-example]");
      if (row) this.show(Number(row.dataset.example), true);
    });
    this.list.addEventListener("keydown", (event) => this.#listKey(event));
    section.addEventListener("keydown", (event) => this.#key(event));
    for (const button of this.steps) {
      button.addEventListener("click", () => this.step(Number(button.dataset.step)));
    }
    new ResizeObserver(() => this.#rows()).observe(this.list);
  }

  // ---------------------------------------------------------------- what is listed

  /** Returns the conditions that model and prompt leave. */
  shown() {
    const { model, prompt } = this.fields;
    return this.run.conditions.map((_, i) => i).filter((i) => {
      const of = this.run.conditions[i];
      return (!model.value || of.model === model.value) && (!prompt.value || of.prompt === prompt.value);
    });
  }

  #flagged(example, shown) {
    const wanted = this.fields.flag.value;
    const all = shown.flatMap((c) => this.run.flags(c, example)).filter((f) => f !== NOT_COVERED);
    if (!all.length) return false;
    if (wanted === "") return true;
    if (wanted === "absent") return all.includes(NO_ANSWER);
    if (wanted === "any") return all.some((flags) => flags > 0);
    if (wanted === "none") return all.every((flags) => flags === 0);
    const bit = this.run.kinds.findIndex(({ name }) => name === wanted);
    return all.some((flags) => flags >= 0 && (flags >> bit) & 1);
  }

  /** Returns column, A and B. */
  #compare() {
    const { metric, a, b } = this.fields, placed = (all, { value }) => all.findIndex((x) => x.key === value);
    const { columns, conditions } = this.run;
    return [placed(columns, metric), placed(conditions, a), placed(conditions, b)];
  }

  /** Returns A's score, and A's less B's; null where one is not known. */
  #compared(example, [metric, a, b]) {
    const one = this.run.score(a, metric, example), other = this.run.score(b, metric, example);
    return { one, other, gap: one === null || other === null ? null : one - other };
  }

  /** Lists what the form asks for, and shows *wanted* if it is among it, else the first. */
  async refresh(wanted = undefined) {
    const turn = (this.turn += 1), { run, fields } = this;
    const shown = this.shown(), terms = termsOf(fields.q.value);
    let hits = null;
    if (terms.length) {
      if (!this.search.pieces || this.search.pieces.length < run.starts.length) {
        this.status.textContent = "Loading the texts\u2026";
        await this.search.ready();
        if (turn !== this.turn) return;
      }
      hits = this.search.hits(terms, shown);
    }
    this.terms = terms;
    const least = fields.least.value === "" ? null : Number(fields.least.value);
    const order = fields.order.value, source = fields.source.value, compare = this.#compare();
    const kept = [];
    this.values.clear();
    for (let i = 0; i < run.n; i += 1) {
      if (hits && !hits[i]) continue;
      if (source && run.examples.source[i] !== Number(source)) continue;
      if (!this.#flagged(i, shown)) continue;
      if (order || least !== null) {
        const found = this.#compared(i, compare);
        if (least !== null && !(Math.abs(found.gap ?? NaN) >= least - 1e-9)) continue;
        this.values.set(i, found);
      }
      kept.push(i);
    }
    this.of = ["high", "low"].includes(order) ? "one" : "gap";
    this.found = order ? this.#ordered(kept, order) : kept;
    this.#fit();
    const target = this.found.includes(wanted) ? wanted : this.found[0] ?? null;
    await this.show(target, false);
  }

  /** What has no value comes last, and equals stay in the run's order. */
  #ordered(kept, order) {
    const turned = {
      falling: (v) => -v, rising: (v) => v, gap: (v) => -Math.abs(v), high: (v) => -v, low: (v) => v,
    }[order];
    const key = (example) => {
      const value = this.values.get(example)[this.of];
      return value === null ? Infinity : turned(value);
    };
    return kept.sort((a, b) => key(a) - key(b) || a - b);
  }

  #fit() {
    this.space.style.height = `${this.found.length * this.rowHeight}px`;
    this.list.scrollTop = 0;
    this.#rows();
  }

  /** Draws the rows of the list that are in sight, and no others. */
  #rows() {
    const first = Math.max(0, Math.floor(this.list.scrollTop / this.rowHeight) - 3);
    const n = Math.ceil(this.list.clientHeight / this.rowHeight) + 6;
    const rows = this.found.slice(first, first + n).map((example, i) => this.#row(example, first + i));
    this.space.replaceChildren(...rows);
    const selected = this.space.querySelector("[aria-selected=true]");
    if (selected) this.list.setAttribute("aria-activedescendant", selected.id);
    else this.list.removeAttribute("aria-activedescendant");
  }

  #row(example, place) {
    const { examples } = this.run, value = this.values.get(example), [metric] = this.#compare();
    const row = made("div", "item",
      made("span", "id", examples.id[example]),
      made("span", "value", value ? this.run.printed(metric, value[this.of], this.of === "gap") : ""),
      made("span", "lead", ...(this.#tier(example) ? [`Folded: risk of suicide, ${this.#tier(example)}`]
        : asNodes(examples.lead[example], [], null))));
    row.id = `browser-row-${example}`;
    row.dataset.example = example;
    row.setAttribute("role", "option");
    row.setAttribute("aria-selected", String(example === this.current));
    row.setAttribute("aria-setsize", this.found.length);
    row.setAttribute("aria-posinset", place + 1);
    row.style.top = `${place * this.rowHeight}px`;
    row.style.height = `${this.rowHeight}px`;
    return row;
  }

  // ---------------------------------------------------------------- one example

  /** Shows an example; *address* puts it into the page's address. */
  async show(example, address) {
    this.current = example;
    const place = this.found.indexOf(example), n = this.found.length;
    this.#intoSight(place);
    this.#rows();
    this.status.textContent = n
      ? `${(place + 1).toLocaleString("en-US")} of ${n.toLocaleString("en-US")} examples`
      : "No example matches: clear a filter.";
    this.steps[0].disabled = place <= 0;
    this.steps[1].disabled = place < 0 || place >= n - 1;
    if (example === null) {
      this.article.replaceChildren();
      return;
    }
    if (address) this.#address();
    const texts = await this.run.texts(example);
    if (example === this.current) this.#example(example, texts);
  }

  step(by) {
    const place = this.found.indexOf(this.current) + by;
    if (place >= 0 && place < this.found.length) this.show(this.found[place], true);
  }

  #intoSight(place) {
    if (place < 0) return;
    const top = place * this.rowHeight, { scrollTop, clientHeight } = this.list;
    if (top < scrollTop) this.list.scrollTop = top;
    else if (top + this.rowHeight > scrollTop + clientHeight) {
      this.list.scrollTop = top + this.rowHeight - clientHeight;
    }
  }

  #example(example, texts) {
    const { run } = this, { examples } = run;
    const link = made("a", "", examples.id[example]);
    link.href = `#${this.#state(example)}`;
    const words = new Set(texts[1] && !examples.hidden[example]
      ? folded(texts[1]).match(/[\p{L}\p{N}]+/gu) : []);
    this.shared = this.fields.shared.checked ? words : null;
    const about = `source ${run.sources[examples.source[example]]} \u00b7 question ${examples.question[example]}`;
    this.article.replaceChildren(
      made("h3", "", link), made("p", "about", about), ...this.#difference(example),
      ...this.#behindWarning(example, [
        ...this.#question(example, texts[0]),
        this.#text("Reference: the therapist's answer", "reference", texts[1], example, null),
        made("div", "answers", ...this.#order().flatMap((c) => this.#cards(c, example, texts)))]));
    this.article.scrollTop = 0;
  }

  /** Returns the question; of a conversation its last turn, with what was said before folded. */
  #question(example, text) {
    const { earlier, asked, hidden } = this.run.examples;
    const n = earlier && !hidden[example] ? earlier[example] : 0;
    if (!n) return [this.#text("Question", "question", text, example, null)];
    const [history, last] = [text.slice(0, -asked[example]), text.slice(-asked[example])];
    // the last speaker's name stands at the end of what was said before
    const before = history.slice(0, history.lastIndexOf("\n")).trimEnd();
    const turns = `${n} earlier ${n === 1 ? "turn" : "turns"} of the conversation`;
    return [
      made("details", "history", made("summary", "", turns), this.#body(before, example, null)),
      this.#text("Last message", "question", last, example, null)];
  }

  /** Returns the level of risk of an example's question; empty if it shows none. */
  #tier(example) {
    const level = this.run.examples.risk[example];
    return level > 0 ? this.run.tiers[level] : "";
  }

  /** Folds texts about suicide away: who opens them was told. */
  #behindWarning(example, parts) {
    if (!this.#tier(example) || this.run.examples.hidden[example]) return parts;
    const words = `Warning: this message shows a risk of suicide (${this.#tier(example)}). Show the texts`;
    return [made("details", "crisis", made("summary", "", words), ...parts)];
  }

  /** Returns the conditions in the order of their cards: what is compared comes first. */
  #order() {
    const shown = this.shown();
    if (!this.values.size) return shown;
    const [, a, b] = this.#compare();
    return [...new Set([a, b, ...shown])];
  }

  #difference(example) {
    const values = this.values.get(example);
    if (!values) return [];
    const { run } = this, [metric, a, b] = this.#compare();
    const printed = (name) => run.printed(metric, values[name], name === "gap");
    return [made("p", "difference", `${run.columns[metric].name}: A (`,
      made("span", "", run.conditions[a].name), `) ${printed("one")} \u2212 B (`,
      made("span", "", run.conditions[b].name), `) ${printed("other")} = ${printed("gap")}`)];
  }

  #text(title, kind, text, example, shared) {
    const block = made("div", `answer ${kind}`, made("h4", "", title));
    block.append(this.#body(text, example, shared));
    return block;
  }

  #body(text, example, shared, empty = false) {
    if (this.run.examples.hidden[example]) {
      return made("p", "none", "withheld, SHA-256 ", made("span", "mono", `${text}\u2026`));
    }
    if (empty) return made("p", "none", `(empty answer) ${text.trim()}`);
    const body = made("p", "text", ...asNodes(text, this.terms, shared));
    body.dir = "auto";
    return body;
  }

  #cards(condition, example, texts) {
    const { run } = this, of = run.conditions[condition];
    return run.flags(condition, example).flatMap((flags, sample) => {
      if (flags === NOT_COVERED) return [];
      const name = of.samples > 1 ? `${of.name}, sample ${sample + 1}` : of.name;
      const side = this.values.size ? ["A", "B"][this.#compare().indexOf(condition, 1) - 1] : null;
      const card = made("div", "answer", made("h4", "", ...(side ? [made("b", "side", side), " "] : []), name));
      if (flags === NO_ANSWER) {
        card.append(made("p", "none", "(no answer yet)"));
        return [card];
      }
      const slot = run.slot(condition, example, sample);
      const n = run.answers[condition].words[slot];
      const badges = run.kindsOf(flags).map((label) => made("span", "flag", label));
      card.append(made("p", "badges", `${n.toLocaleString("en-US")} word${n === 1 ? "" : "s"} `, ...badges),
        ...this.#thought(of.thinks ? texts[of.thoughtAt + sample] : null, example),
        this.#body(texts[of.at + sample], example, this.shared, run.hasKind(flags, "empty")),
        ...this.#scores(condition, slot));
      return [card];
    });
  }

  /** Returns what a model thought before its answer, folded away; it is not scored. */
  #thought(text, example) {
    if (!text || this.run.examples.hidden[example]) return [];
    return [made("details", "thought", made("summary", "", "Reasoning (not scored)"),
      this.#body(text, example, null))];
  }

  #scores(condition, slot) {
    const { run } = this;
    const line = (column) => {
      const value = run.scores[condition][column][slot];
      const printed = run.printed(column, value === null ? null : value / run.unit(column));
      return made("div", "", made("dt", "", run.columns[column].name), made("dd", "", printed));
    };
    const columns = run.columns.map((_, i) => i);
    const main = columns.filter((i) => run.columns[i].main);
    const others = columns.filter((i) => !run.columns[i].main);
    const found = [made("dl", "scores", ...main.map(line)), ...this.#people(condition, slot)];
    if (others.length) {
      found.push(made("details", "", made("summary", "", `${others.length} additional metrics`),
        made("dl", "scores", ...others.map(line))));
    }
    return found;
  }

  /** Returns what people said of an answer, by pseudonym, and the judges' scores beside it. */
  #people(condition, slot) {
    const { run } = this, rated = run.rated?.[condition][slot];
    if (!rated) return [];
    const lines = run.people.flatMap(({ name, raters, judges }, i) => {
      const said = raters.flatMap((rater, k) => rated[i][k] === null ? [] : [`${rater} ${rated[i][k]}`]);
      if (!said.length) return [];
      const beside = judges.map(([judge, column]) => {
        const value = run.scores[condition][column][slot];
        return `${judge} ${run.printed(column, value === null ? null : value / run.unit(column))}`;
      });
      const all = [said.join(", "), ...beside].join("; ");
      return [made("div", "", made("dt", "", `${name} (people)`), made("dd", "", all))];
    });
    return lines.length ? [made("dl", "scores people", ...lines)] : [];
  }

  // ---------------------------------------------------------------- addresses and keys

  /** Returns the page's address for an example under the filters that are set. */
  #state(example) {
    const state = new URLSearchParams({ example: this.run.examples.id[example] });
    for (const field of this.fields) {
      if (!field.name || field.name in this.start && field.value === this.start[field.name]) continue;
      const value = field.type === "checkbox" ? (field.checked ? "1" : "") : field.value;
      if (value) state.set(field.name, value);
    }
    return state;
  }

  #address() {
    if (this.current === null) return;
    history.replaceState(null, "", `#${this.#state(this.current)}`);
  }

  /** Goes to what an address names; returns whether it names an example. */
  async go(state) {
    if (!state.has("example")) return false;
    for (const field of this.fields) {
      if (!field.name) continue;
      if (field.type === "checkbox") field.checked = state.has(field.name);
      else if (field.type === "number") field.value = Number(state.get(field.name)) || "";
      else field.value = state.get(field.name) ?? this.start[field.name] ?? "";
      if (field.selectedIndex === -1) field.value = this.start[field.name] ?? "";
    }
    const id = state.get("example"), place = this.run.placeOf.get(id);
    await this.refresh(place);
    if (place === undefined) this.status.textContent = `There is no example ${id} in this file.`;
    box.scrollIntoView({ block: "start" });
    this.article.focus({ preventScroll: true });
    return true;
  }

  #listKey(event) {
    const page = Math.max(1, Math.floor(this.list.clientHeight / this.rowHeight) - 1);
    const place = this.found.indexOf(this.current), last = this.found.length - 1;
    const to = {
      ArrowDown: place + 1, ArrowUp: place - 1, PageDown: place + page, PageUp: place - page,
      Home: 0, End: last,
    }[event.key];
    if (to === undefined || last < 0) return;
    event.preventDefault();
    this.show(this.found[Math.min(last, Math.max(0, to))], true);
  }

  /** Keys of the whole browser; in a field they are letters. */
  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.matches("input:not([type=checkbox]), select")) return;
    const todo = {
      j: () => this.step(1), k: () => this.step(-1), "/": () => this.fields.q.focus(),
    }[event.key];
    if (!todo) return;
    event.preventDefault();
    todo();
  }
}

// ------------------------------------------------------------------ beginning

function addressed() {
  const state = new URLSearchParams(location.hash.slice(1));
  return state.has("example") ? state : null;
}

let starting = null;

/** Unpacks the index and draws the browser, once, when it is about to be seen. */
function start() {
  starting ??= (async () => {
    const view = new View(await Run.unpacked());
    const state = addressed();
    if (!state) await view.refresh();
    else await view.go(state);
    box.dataset.ready = "true";
    const idle = globalThis.requestIdleCallback ?? ((later) => setTimeout(later, 1000));
    idle(() => view.search.ready()); // so that the first letter typed need not wait
    return view;
  })();
  return starting;
}

/** Lets the tables that name examples lead to them. */
function linkExamples() {
  for (const head of document.querySelectorAll("figure.table thead th.stub")) {
    if (head.textContent.trim() !== "Example") continue;
    for (const row of head.closest("table").querySelectorAll("tbody tr")) {
      const cell = row.cells[head.cellIndex], link = made("a", "", ...cell.childNodes);
      link.href = `#${new URLSearchParams({ example: link.textContent })}`;
      cell.append(link);
    }
  }
}

function trouble(words) {
  const place = document.getElementById("browser-trouble");
  place.textContent = words;
  place.hidden = false;
  box.hidden = true;
}

if (!packed.length) {
  box.remove();
} else if (typeof DecompressionStream !== "function") {
  trouble("This browser cannot read the examples (it lacks DecompressionStream): use Firefox 113, Chrome 80, Safari 16.4 or newer.");
} else {
  box.hidden = false;
  linkExamples();
  const begin = () => start().catch((error) => trouble(`The examples cannot be read: ${error}`));
  new IntersectionObserver((entries, observer) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    observer.disconnect();
    begin();
  }, { rootMargin: "600px" }).observe(section);
  if (addressed()) begin();
  addEventListener("hashchange", async () => {
    const state = addressed();
    if (!state) return;
    if (starting) (await starting).go(state);
    else begin();
  });
}
