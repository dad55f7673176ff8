// The examples as the page holds them: unpacked on demand, and searched.

const NOT_COVERED = -1, NO_ANSWER = -2;
const section = document.getElementById("examples");

const packed = [...section.querySelectorAll("script.piece")];
const unpacked = new Map();

/** Unpacks a piece, once: base64, gzip, JSON. */
function unpack(place) {
  if (!unpacked.has(place)) {
    const read = async () => {
      const bytes = Uint8Array.from(atob(packed[place].textContent), (c) => c.charCodeAt(0));
      const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
      return JSON.parse(await new Response(stream).text());
    };
    unpacked.set(place, read());
  }
  return unpacked.get(place);
}

/** Returns a text as it is searched: in small letters, every sign at its place. */
function folded(text) {
  const small = text.toLowerCase();
  if (small.length === text.length) return small;
  return [...text].map((c) => (c.toLowerCase().length === c.length ? c.toLowerCase() : c)).join("");
}

class Run {
  constructor(index, scores) {
    Object.assign(this, index);
    this.scores = scores;
    this.n = this.examples.id.length;
    this.placeOf = new Map(this.examples.id.map((id, i) => [id, i]));
    for (const column of this.columns) {
      const [minimumFractionDigits, maximumFractionDigits] = [column.decimals, column.decimals];
      column.format = new Intl.NumberFormat("en-US", { minimumFractionDigits, maximumFractionDigits });
    }
    let at = 2; // places in a row of texts: question, reference, then samples by condition
    this.conditions.forEach((condition) => { condition.at = at; at += condition.samples; });
    // thoughts stand behind all answers, of those conditions that have any
    for (const condition of this.conditions.filter(({ thinks }) => thinks)) {
      condition.thoughtAt = at;
      at += condition.samples;
    }
  }

  static async unpacked() {
    return new Run(await unpack(0), await unpack(1));
  }

  pieceOf(example) {
    let low = 0, high = this.starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.starts[middle] <= example) low = middle; else high = middle - 1;
    }
    return low;
  }

  /** Returns an example's texts in the order of a row; null where there is none. */
  async texts(example) {
    const piece = await unpack(2 + this.pieceOf(example));
    return piece.rows[example - piece.start].map((at) => (at < 0 ? null : piece.texts[at]));
  }

  slot(condition, example, sample) {
    return example * this.conditions[condition].samples + sample;
  }

  flags(condition, example) {
    const { samples } = this.conditions[condition];
    return this.answers[condition].flags.slice(example * samples, (example + 1) * samples);
  }

  kindsOf(flags) {
    return this.kinds.filter((_, bit) => (flags >> bit) & 1).map(({ label }) => label);
  }

  hasKind(flags, wanted) {
    return this.kinds.some(({ name }, bit) => name === wanted && (flags >> bit) & 1);
  }

  /** Returns a score in the units that are printed: the mean of its samples; null without any. */
  score(condition, column, example) {
    const { samples } = this.conditions[condition];
    const all = this.scores[condition][column].slice(example * samples, (example + 1) * samples);
    const known = all.filter((value) => value !== null);
    if (!known.length) return null;
    return known.reduce((sum, value) => sum + value, 0) / known.length / this.unit(column);
  }

  unit(column) {
    return 10 ** this.columns[column].decimals;
  }

  /** Returns a number as the tables print it. */
  printed(column, value, signed = false) {
    if (value === null) return "\u2013";
    const { percent, format } = this.columns[column], digits = format.format(Math.abs(value));
    const sign = !/[1-9]/.test(digits) ? "" : value < 0 ? "\u2212" : signed ? "+" : "";
    return sign + digits + (percent ? "%" : "");
  }
}

// ------------------------------------------------------------------ search

/** Returns the parts that must all stand in one text: words, and phrases in quotes. */
function termsOf(query) {
  return [...folded(query).matchAll(/"([^"]+)"|([^\s"]+)/g)].map(([, phrase, word]) => phrase ?? word);
}

class Search {
  constructor(run) {
    this.run = run;
  }

  /** Unpacks and folds all texts, once, a piece at a time so that the page stays alive. */
  ready() {
    this.reading ??= (async () => {
      this.pieces = [];
      for (let i = 0; i < this.run.starts.length; i += 1) {
        const piece = await unpack(2 + i);
        this.pieces.push({ ...piece, folded: piece.texts.map(folded) });
      }
    })();
    return this.reading;
  }

  /** Returns for each example whether a text of it, its answers those of *shown*, has all terms. */
  hits(terms, shown) {
    const { run } = this, found = new Uint8Array(run.n);
    const ats = [0, 1, ...shown.flatMap((c) => Array.from(
      { length: run.conditions[c].samples }, (_, sample) => run.conditions[c].at + sample))];
    for (const piece of this.pieces) {
      const has = Uint8Array.from(piece.folded, (text) => terms.every((term) => text.includes(term)));
      piece.rows.forEach((row, i) => {
        const example = piece.start + i;
        found[example] = !run.examples.hidden[example] && ats.some((at) => row[at] >= 0 && has[row[at]]);
      });
    }
    run.examples.id.forEach((id, i) => {
      if (terms.every((term) => folded(id).includes(term))) found[i] = 1;
    });
    return found;
  }
}

// ------------------------------------------------------------------ text as text

// Signs that cannot be seen, or that turn the text beside them round.
const ODD = new RegExp("[\\u{0}-\\u{8}\\u{b}-\\u{1f}\\u{7f}-\\u{9f}\\u{200b}\\u{200e}\\u{200f}\\u{2028}-\\u{202e}"
  + "\\u{2060}-\\u{2069}\\u{feff}\\u{fff9}-\\u{fffb}\\u{fffe}\\u{ffff}\\u{e0000}-\\u{e007f}]", "u");
const HIT = 1, SHARED = 2;

/** Returns a text as nodes: hits and shared words marked, odd signs told by their number. */
function told(text, terms, shared) {
  const marks = new Uint8Array(text.length), small = folded(text);
  for (const term of terms) {
    for (let at = small.indexOf(term); at >= 0; at = small.indexOf(term, at + term.length)) {
      marks.fill(HIT, at, at + term.length);
    }
  }
  if (shared) {
    for (const word of small.matchAll(/[\p{L}\p{N}]+/gu)) {
      if (!shared.has(word[0])) continue;
      for (let i = word.index; i < word.index + word[0].length; i += 1) marks[i] |= SHARED;
    }
  }
  const nodes = [];
  let from = 0;
  const close = (to) => {
    if (to > from) nodes.push(marked(text.slice(from, to), marks[from]));
    from = to;
  };
  let i = 0;
  for (const sign of text) {
    if (ODD.test(sign)) {
      close(i);
      const code = sign.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
      nodes.push(made("span", "sign", `U+${code}`));
      from = i + sign.length;
    } else if (i > from && marks[i] !== marks[from]) close(i);
    i += sign.length;
  }
  close(text.length);
  return nodes;
}

function marked(text, mark) {
  if (!mark) return text;
  const inner = mark & SHARED ? made("b", "shared", text) : text;
  return mark & HIT ? made("mark", "", inner) : inner;
}
