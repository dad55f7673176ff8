// Tables that sort, numbers that tell their key, commands that can be copied. Without it the page
// can be read all the same.

// ------------------------------------------------------------------ sorting

/** Returns what a cell is sorted by: a number, a text, or null where there is nothing. */
function valueOf(cell) {
  if (cell.dataset.value !== undefined) return Number(cell.dataset.value);
  const text = (cell.querySelector(".n") ?? cell).textContent.trim();
  const plain = text.replace(/\u2212/g, "-").replace(/[,%+<\s]/g, "");
  if (plain && Number.isFinite(Number(plain))) return Number(plain);
  return text === "" || text === "\u2013" || text === "N/A" ? null : text;
}

/** Returns a word as a shell reads it back, as Python's shlex.quote does. */
function quoted(word) {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\"'\"'")}'`;
}

/** Compares two values; what is absent comes last in either direction. */
function compared(a, b, sign) {
  if (a === null || b === null) return (a === null) - (b === null);
  if (typeof a === "number" && typeof b === "number") return sign * (a - b);
  return sign * String(a).localeCompare(String(b), undefined, { numeric: true });
}

class Sortable {
  constructor(table) {
    this.table = table;
    this.bodies = [...table.tBodies];
    this.groups = this.bodies.map((body) => [...body.rows]);
    this.rows = this.groups.flat();
    this.people = this.bodies.map((body) => body.classList.contains("reference"));
    this.one = made("tbody", "sorted");
    this.heads = [...table.tHead.rows].at(-1).cells;
    this.sorted = null; // place of the column and direction
    [...this.heads].forEach((head, place) => this.#button(head, place));
    this.restore = pressable("Original order", "restore", () => this.#reset());
    this.restore.hidden = true;
    table.closest(".scroll").after(this.restore);
  }

  #button(head, place) {
    if (!head.textContent.trim()) return;
    const words = [...head.childNodes];
    const button = pressable("", "sort", () => this.#next(place));
    button.replaceChildren(...words);
    head.append(button);
  }

  /** The better end first, then the other, then as it was. */
  #next(place) {
    const numbers = this.rows.some((row) => typeof valueOf(row.cells[place]) === "number");
    const lowerIsBetter = this.heads[place].textContent.includes("\u2193");
    const first = numbers && !lowerIsBetter ? -1 : 1;
    if (this.sorted?.place !== place) this.#sort(place, first);
    else if (this.sorted.sign === first) this.#sort(place, -first);
    else this.#reset();
  }

  #sort(place, sign) {
    const keyed = this.rows.map((row) => [valueOf(row.cells[place]), row]);
    keyed.sort(([a], [b]) => compared(a, b, sign));
    this.#alone(true);
    this.one.replaceChildren(...keyed.map(([, row]) => row));
    for (const body of this.bodies) body.remove();
    this.table.append(this.one);
    this.#mark(place, sign);
  }

  #reset() {
    this.one.remove();
    this.#alone(false);
    this.bodies.forEach((body, i) => body.replaceChildren(...this.groups[i]));
    this.table.append(...this.bodies);
    if (document.activeElement === this.restore) this.table.closest(".scroll").focus();
    this.#mark(null, 0);
  }

  /** Shows each row's own label where rows stand alone, and the group's once where they do not. */
  #alone(alone) {
    this.groups.forEach((rows, group) => rows.forEach((row, i) => {
      row.classList.toggle("reference", alone && this.people[group]);
      const label = row.querySelector(".model");
      if (label && i === 0) label.rowSpan = alone ? 1 : rows.length;
      else if (label) label.hidden = !alone;
    }));
  }

  #mark(place, sign) {
    this.sorted = place === null ? null : { place, sign };
    this.restore.hidden = place === null;
    [...this.heads].forEach((head, i) => {
      if (i === place) head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
      else head.removeAttribute("aria-sort");
    });
    const name = place === null ? "" : this.heads[place].textContent.trim();
    const order = `Sorted by ${name}, ${sign > 0 ? "lowest" : "highest"} first`;
    say(place === null ? "Original order" : order);
  }
}

// ------------------------------------------------------------------ keys of numbers

/** Shows below a table what the number in a cell is called, to be copied. */
class Keys {
  constructor(table) {
    this.table = table;
    this.box = table.closest(".scroll");
    this.bar = made("p", "key");
    this.bar.setAttribute("aria-live", "polite");
    this.bar.hidden = true;
    this.box.after(this.bar);
    table.addEventListener("click", (event) => this.#choose(event.target.closest("td[data-key]")));
    this.box.addEventListener("keydown", (event) => this.#walk(event));
  }

  #choose(cell) {
    if (!cell || String(getSelection())) return; // who selects text wants the text
    this.table.querySelector("td.chosen")?.classList.remove("chosen");
    cell.classList.add("chosen");
    const { key } = cell.dataset;
    const explain = document.body.dataset.explain || "python -m jobs.launch explain";
    const shown = cell.querySelector(".n").textContent;
    this.bar.replaceChildren(
      made("code", "", key), ` = ${shown} `,
      copyButton("Copy key", key),
      copyButton("Copy \\res{\u2026}", `\\res{${key}}`),
      copyButton("Copy command", `${explain} ${quoted(key)}`),
    );
    this.bar.hidden = false;
  }

  /** Enter goes into the table, arrows from number to number, Escape out of it. */
  #walk(event) {
    const cell = event.target.closest("td[data-key]");
    if (!cell) {
      if (event.key !== "Enter" || event.target !== this.box) return;
      this.#focus(this.table.querySelector("tbody td[data-key]"), event);
      return;
    }
    const row = cell.parentElement, rows = [...this.table.querySelectorAll("tbody tr")];
    const beside = (by) => rows[rows.indexOf(row) + by]?.cells[cell.cellIndex];
    const to = {
      ArrowLeft: () => cell.previousElementSibling,
      ArrowRight: () => cell.nextElementSibling,
      ArrowUp: () => beside(-1),
      ArrowDown: () => beside(1),
      Escape: () => this.box,
    }[event.key];
    if (to) this.#focus(to(), event);
    if (event.key === "Enter") this.bar.querySelector("button")?.focus();
  }

  #focus(target, event) {
    if (!target || (target !== this.box && !target.dataset.key)) return;
    event.preventDefault();
    if (target !== this.box) target.tabIndex = -1;
    target.focus();
    if (target !== this.box) this.#choose(target);
  }
}

// ------------------------------------------------------------------ the page

for (const table of document.querySelectorAll("figure.table table")) {
  new Sortable(table);
  if (table.querySelector("td[data-key]")) new Keys(table);
}

const first = document.querySelector("figure.table td[data-key]")?.closest(".scroll");
first?.before(made("p", "hint",
  "A heading sorts; a number tells what it is called in prose and on the command line."));

for (const command of document.querySelectorAll("pre.command")) {
  command.after(copyButton("Copy", command.textContent));
}

/** Opens the part that an address names, wherever it is folded away. */
function unfold() {
  const folded = document.querySelectorAll("details[id]");
  for (const part of folded) if (location.hash === `#${part.id}`) part.open = true;
}
addEventListener("hashchange", unfold);
unfold();

let unfolded = []; // for print
addEventListener("beforeprint", () => {
  unfolded = [...document.querySelectorAll("main details:not([open])")];
  for (const part of unfolded) part.open = true;
});
addEventListener("afterprint", () => {
  for (const part of unfolded) part.open = false;
});

const links = new Map([...document.querySelectorAll("nav a")].map((a) => [a.hash.slice(1), a]));
const inSight = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    const link = links.get(target.id);
    if (isIntersecting && link) {
      for (const other of links.values()) other.removeAttribute("aria-current");
      link.setAttribute("aria-current", "true");
    }
  }
}, { rootMargin: "-15% 0px -80% 0px" });
for (const section of document.querySelectorAll("main > section")) inSight.observe(section);
