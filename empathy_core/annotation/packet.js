"use strict";
(() => {
  const packet = JSON.parse(document.getElementById("packet").textContent);
  const KEPT = "empathy-packet:" + packet.packet;
  const SITTING_H = 8, IDLE_S = 60, OUTSIDE = packet.outside;
  const $ = (id) => document.getElementById(id);
  const main = $("main");

  // ------------------------------------------------------------------ what there is to rate
  const asked = packet.rubrics.flatMap((rubric, r) =>
    rubric.dimensions.map((dimension, d) => ({ rubric, dimension, name: rubric.name + " " + dimension.name, first: d === 0, r })));
  const items = [];
  packet.pages.forEach((page, p) => page.items.forEach((item, i) => items.push({
    id: item.id, text: item.text, page, p, i, crisis: page.crisis, asked: page.asked.map((at) => asked[at]),
  })));
  const byId = new Map(items.map((item) => [item.id, item]));
  const crisis = items.some((item) => item.crisis);

  // ------------------------------------------------------------------ what the browser keeps
  const fresh = () => ({
    at: "start", consent: false, mayTrain: "", withoutCrisis: false,
    labels: {}, skipped: {}, notes: {}, seconds: {}, crisisSeen: {},
  });
  let state = fresh();
  let keeps = true;
  const load = () => {
    try {
      const kept = localStorage.getItem(KEPT);
      if (kept) state = Object.assign(fresh(), JSON.parse(kept));
    } catch { keeps = false; }
  };
  const save = (say) => {
    try {
      localStorage.setItem(KEPT, JSON.stringify(state));
      keeps = true;
      if (say) tell("Saved");
    } catch { keeps = false; }
    warn(keeps ? "" : "This browser cannot keep your ratings. Download them before you close or reload this page.");
  };
  // what is long has a line of its own, not what the buttons leave of theirs
  const tell = (text, kind = "") => { $("kept").textContent = text; $("kept").className = kind; };
  const warn = (text) => { $("warning").hidden = !text; $("warning").textContent = text; };

  const labelsOf = (item) => state.labels[item.id] || {};
  const isRated = (item) => item.asked.every((one) => labelsOf(item)[one.name] !== undefined);
  const isDone = (item) => Boolean(state.skipped[item.id]) || isRated(item);
  const touched = (item) =>
    state.skipped[item.id] || Object.keys(labelsOf(item)).length > 0 || Boolean(state.notes[item.id]);

  // ------------------------------------------------------------------ which come now
  const since = () => Date.now() - SITTING_H * 3600e3;
  const seenNow = () => Object.values(state.crisisSeen).filter((time) => time > since());
  const waits = (item) => item.crisis && !state.crisisSeen[item.id]
    && seenNow().length >= packet.crisis_per_sitting;
  const wanted = () => items.filter((item) => !(item.crisis && state.withoutCrisis));
  const shown = () => wanted().filter((item) => !waits(item));
  const waiting = () => wanted().filter(waits);

  // ------------------------------------------------------------------ small helpers
  const make = (tag, settings = {}, ...inside) => {
    const { data, ...rest } = settings;
    const element = Object.assign(document.createElement(tag), rest);
    Object.entries(data || {}).forEach(([name, value]) => element.setAttribute(name, value));
    element.append(...inside.filter((part) => part !== null && part !== undefined));
    return element;
  };
  const button = (text, onclick, settings = {}) => make("button", { type: "button", textContent: text, onclick, ...settings });
  const text = (tag, words, settings = {}) => make(tag, { textContent: words, dir: "auto", ...settings });
  const many = (n, noun) => n + " " + noun + (n === 1 ? "" : "s");
  const replies = (n) => n + (n === 1 ? " reply" : " replies");

  const progress = () => {
    const all = wanted(), done = all.filter(isDone).length;
    $("progress").max = Math.max(1, all.length);
    $("progress").value = done;
    const label = make("label", { textContent: done + " of " + replies(all.length) + " done", htmlFor: "progress" });
    $("progress-text").replaceChildren(label);
    $("opt-out").hidden = !crisis;
    $("opt-out").setAttribute("aria-pressed", String(state.withoutCrisis));
    $("opt-out").textContent = state.withoutCrisis ? "Messages about suicide are left out" : "Leave out messages about suicide";
  };

  // ------------------------------------------------------------------ where one is
  const go = (at, focus = true) => {
    state.at = at;
    save(false);
    draw(focus);
  };
  const current = () => byId.get(state.at);
  const step = (by) => {
    const order = shown();
    const here = order.findIndex((item) => item.id === state.at);
    if (here < 0) return go(by > 0 && order.length ? order[0].id : "start");
    const next = order[here + by];
    go(next ? next.id : by > 0 ? "end" : "start");
  };
  const draw = (focus) => {
    progress();
    const item = current();
    if (item && (waits(item) || (item.crisis && state.withoutCrisis))) return next(item);
    main.replaceChildren(item ? drawItem(item) : state.at === "end" ? drawEnd() : drawStart());
    if (item) mark(here());  // what number keys will answer is seen before the first one
    if (item && item.crisis && !state.crisisSeen[item.id]) {
      state.crisisSeen[item.id] = Date.now();
      save(false);
    }
    if (focus) {
      window.scrollTo(0, 0);
      (main.querySelector("h1") || main).focus({ preventScroll: true });
    }
  };
  /** Go on from an item that is not to be shown any more. */
  const next = (item) => {
    const after = items.slice(items.indexOf(item) + 1).find((one) => shown().includes(one));
    go(after ? after.id : "end");
  };

  // ------------------------------------------------------------------ page 0
  const drawStart = () => {
    const box = make("div", { className: "start" });
    const add = (...parts) => box.append(...parts);
    const n = items.length;
    add(make("h1", { tabIndex: -1, textContent: "Rating replies to people who ask for support" }));
    add(text("p", "You will read " + many(packet.pages.length, "message") + " and " + replies(n)
      + ", and rate each reply by the questions below it. You are “" + packet.rater
      + "” here; please do not write your name into any field."));
    add(text("h2", "Before you begin"));
    add(text("p", "The messages are from people in distress. Some are about abuse, loss, self-harm"
      + (crisis ? " or suicide" : "") + ". You may skip any reply, pause whenever you like, and stop for good at any time without giving a reason."));
    add(text("p", "Help: " + packet.helpline, { className: "said" }));
    if (crisis) {
      add(text("p", "With one click you leave out all messages about suicide, now or later; nobody asks why. At most "
        + packet.crisis_per_sitting + " replies to such messages are shown in one sitting (" + SITTING_H + " hours)."));
      add(check("no-crisis", "Leave out messages about suicide", state.withoutCrisis, (on) => { optOut(on); }));
    }
    add(text("h2", "How to rate"));
    const outside = asked.some((one) => one.dimension.points.some(([label]) => label === OUTSIDE));
    add(text("p", "Rate each reply for itself, by what is written in it. Replies may come from anywhere; some may fit badly. There are no right answers to guess."
      + " If a question cannot be answered, " + (outside ? "choose “" + OUTSIDE + "” where it is offered, or " : "") + "leave it open."));
    add(make("p", { className: "keys" }, "Keys: ", make("kbd", { textContent: "0–9" }), " answer the marked question, ",
      ...(outside ? [make("kbd", { textContent: OUTSIDE }), " not applicable, "] : []), make("kbd", { textContent: "Backspace" }), " take an answer back, ",
      make("kbd", { textContent: "→" }), " and ", make("kbd", { textContent: "←" }), " next and previous reply, ", make("kbd", { textContent: "S" }), " skip the reply."));
    add(text("p", "Your ratings are kept in this browser, on this computer, after every click: you can close the page and go on later. When you are done, or want to stop, download your ratings and send the file to the researchers. This page never uses the network."));
    if (packet.may_train === "ask") {
      const ask = make("fieldset", { id: "may-train" }, text("legend", "May your ratings also be used to train language models?"));
      for (const [value, words] of [["yes", "Yes"], ["no", "No, only to evaluate them"]]) {
        ask.append(make("label", {}, make("input", {
          type: "radio", name: "may-train", value, checked: state.mayTrain === value,
          onchange: () => { state.mayTrain = value; save(true); },
        }), make("span", { textContent: words })));
      }
      add(ask, text("p", "If you choose neither, the answer is no.", { className: "hint" }));
    } else {
      add(text("p", packet.may_train === "yes" ? "Your ratings may also be used to train language models."
        : "Your ratings are used to evaluate language models, not to train them."));
    }
    if (packet.contact) add(text("p", "Questions: " + packet.contact));
    if (packet.consent) {
      add(text("h2", "Consent"), text("p", packet.consent, { className: "said" }));
      add(check("consent", "I have read this and agree to take part", state.consent, (on) => { state.consent = on; save(true); begin.disabled = !on; }));
    }
    const order = shown();
    const open = order.find((item) => !isDone(item));
    const begin = button(items.some(touched) ? "Continue" : "Start", () => go(open ? open.id : "end"), { id: "begin", className: "go" });
    begin.disabled = Boolean(packet.consent) && !state.consent;
    add(make("div", { className: "steps" }, begin));
    return box;
  };
  const check = (id, words, on, change) => make("p", { className: "check" },
    make("input", { type: "checkbox", id, checked: on, onchange: (event) => change(event.target.checked) }),
    make("label", { htmlFor: id, textContent: words }));

  const optOut = (on) => {
    state.withoutCrisis = on;
    save(true);
    const item = current();
    if (item && item.crisis && on) next(item); else draw(false);
  };

  // ------------------------------------------------------------------ a reply
  const keyOf = (labels, label) => {
    if (label === OUTSIDE) return OUTSIDE;
    const points = labels.filter((one) => one !== OUTSIDE);
    if (points.every((one) => /^[0-9]$/.test(one))) return label;
    return String((points.indexOf(label) + 1) % 10);
  };
  const drawItem = (item) => {
    const page = item.page;
    const head = make("h1", { tabIndex: -1 }, "Message " + (item.p + 1) + " of " + packet.pages.length
      + ", reply " + (item.i + 1) + " of " + page.items.length);
    const texts = make("div", { className: "texts" },
      make("section", { data: { "aria-labelledby": "h-message" } }, make("h2", { id: "h-message", textContent: "The person’s message" }),
        text("div", page.question, { className: "text" })),
      make("section", { data: { "aria-labelledby": "h-reply" } }, make("h2", { id: "h-reply", textContent: "The reply to rate" }),
        text("div", item.text.trim() ? item.text : "(This reply is empty.)", { className: "text reply" })));
    const form = make("form", { onsubmit: (event) => event.preventDefault() });
    let rubric = null;
    item.asked.forEach((one, at) => {
      if (one.rubric !== rubric) form.append(text("p", one.rubric.instruction, { className: "instruction" }));
      rubric = one.rubric;
      form.append(drawQuestion(item, one, at));
    });
    form.append(make("p", { className: "note" }, make("label", { htmlFor: "note", textContent: "Note (optional, no names)" }),
      make("textarea", { id: "note", dir: "auto", value: state.notes[item.id] || "", oninput: (event) => {
        if (event.target.value) state.notes[item.id] = event.target.value; else delete state.notes[item.id];
        save(true);
      } })));
    const steps = make("div", { className: "steps" },
      button("← Back", () => step(-1), { id: "back" }),
      button(state.skipped[item.id] ? "Skipped: rate it after all" : "Skip this reply", () => skip(item), { id: "skip" }),
      button("Next →", () => step(1), { id: "next", className: "go" }));
    const keys = make("p", { className: "keys", textContent: "Number keys answer the marked question; ← → change the reply; S skips; Backspace takes an answer back." });
    return make("div", { className: "item" }, head, texts, make("div", {}, form, steps, keys));
  };
  const drawQuestion = (item, one, at) => {
    const box = make("fieldset", { id: "q" + at, onfocusin: () => mark(at) });
    box.append(text("legend", one.dimension.question));
    const before = at > 0 ? item.asked[at - 1].dimension.levels : "";
    if (one.dimension.levels && one.dimension.levels !== before) box.append(text("p", one.dimension.levels, { className: "levels" }));
    else if (one.dimension.levels) {  // the same again can be looked up, and is not in the way
      box.append(make("details", {}, text("summary", "At the same levels of risk as above"), text("p", one.dimension.levels, { className: "levels" })));
    }
    const labels = one.dimension.points.map(([label]) => label);
    for (const [label, words] of one.dimension.points) {
      box.append(make("label", {},
        make("input", {
          type: "radio", name: "q" + at, value: label, checked: labelsOf(item)[one.name] === label,
          onchange: () => answer(item, one, label),
        }),
        make("b", { textContent: label }), text("span", words),
        keyOf(labels, label) === label ? null : make("kbd", { textContent: keyOf(labels, label), ariaHidden: "true" })));
    }
    return box;
  };
  const mark = (at) => {
    main.querySelectorAll("fieldset").forEach((box) => box.classList.toggle("now", box.id === "q" + at));
  };
  const answer = (item, one, label) => {
    const labels = { ...labelsOf(item) };
    if (label === null) delete labels[one.name]; else labels[one.name] = label;
    state.labels[item.id] = labels;
    if (state.skipped[item.id]) {
      delete state.skipped[item.id];
      $("skip").textContent = "Skip this reply";
    }
    save(true);
    progress();
  };
  const skip = (item) => {
    if (state.skipped[item.id]) {
      delete state.skipped[item.id];
      go(item.id, false);
    } else {
      state.skipped[item.id] = true;
      save(true);
      step(1);
    }
  };

  // ------------------------------------------------------------------ the last page
  const drawEnd = () => {
    const open = shown().filter((item) => !isDone(item));
    const later = waiting();
    const box = make("div", { className: "start" },
      make("h1", { tabIndex: -1, textContent: open.length || later.length ? "Not all replies are rated yet" : "All replies are done. Thank you!" }));
    if (later.length) {
      const from = new Date(Math.min(...seenNow()) + SITTING_H * 3600e3);
      box.append(text("p", replies(later.length) + " to messages about suicide wait for your next sitting, after "
        + from.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }) + "."));
    }
    box.append(text("p", open.length ? replies(open.length) + " still open. You may leave them open: a part of the ratings is welcome, too."
      : "Download your ratings now and send the file to the researchers."));
    const list = make("ul", { className: "overview", ariaLabel: "Replies" });
    for (const item of shown()) {
      const words = (item.p + 1) + "." + (item.i + 1);
      const how = state.skipped[item.id] ? "skipped" : isDone(item) ? "done" : "open";
      list.append(make("li", {}, button(words, () => go(item.id), { className: how, ariaLabel: "Message " + (item.p + 1) + ", reply " + (item.i + 1) + ": " + how })));
    }
    box.append(list, make("div", { className: "steps" }, button("Download my ratings", download, { className: "go", id: "download-end" })));
    return box;
  };

  // ------------------------------------------------------------------ what is sent back
  const rows = () => {
    const found = [];
    for (const item of items) {
      const out = item.crisis && state.withoutCrisis;
      if (!touched(item) || out) continue;
      for (const one of item.asked) {
        const label = state.skipped[item.id] ? undefined : labelsOf(item)[one.name];
        if (label === undefined && !state.skipped[item.id] && !state.notes[item.id]) continue;
        found.push({
          item: item.id, rubric: one.rubric.name, dimension: one.dimension.name, label: label ?? "",
          state: label === undefined ? "skipped" : label === OUTSIDE ? "not_applicable" : "rated",
          seconds: state.seconds[item.id] ?? 0, note: state.notes[item.id] || "",
        });
      }
    }
    return found;
  };
  const result = () => ({
    format: packet.format, version: packet.version, packet: packet.packet, rater: packet.rater,
    saved_at: new Date().toISOString(),
    consent: packet.consent ? state.consent : null,
    may_train: packet.may_train === "ask" ? (state.mayTrain || "no") : packet.may_train,
    without_crisis: state.withoutCrisis, complete: wanted().every(isDone), answers: rows(),
  });
  const download = () => {
    const file = new Blob([JSON.stringify(result(), null, 1)], { type: "application/json" });
    const link = make("a", { href: URL.createObjectURL(file), download: "ratings-" + packet.rater + "-" + packet.packet + ".json" });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(link.href), 60e3);
    tell("Downloaded: " + link.download, "file");
  };
  const erase = () => {
    if (!confirm("Erase all ratings that this browser keeps? What you have not downloaded is lost.")) return;
    try { localStorage.removeItem(KEPT); } catch { /* nothing was kept */ }
    state = fresh();
    draw(true);
    tell("Erased: this browser keeps nothing of this page.", "file");
  };

  // ------------------------------------------------------------------ keys and time
  const here = () => {
    const boxes = [...main.querySelectorAll(".item fieldset")];
    const item = current();
    const held = boxes.findIndex((box) => box.contains(document.activeElement));
    if (held >= 0) return held;
    const marked = boxes.findIndex((box) => box.classList.contains("now"));
    if (marked >= 0) return marked;
    return Math.max(0, item.asked.findIndex((one) => labelsOf(item)[one.name] === undefined));
  };
  const press = (key) => {
    const item = current(), at = here(), one = item.asked[at];
    const labels = one.dimension.points.map(([label]) => label);
    const label = labels.find((candidate) => keyOf(labels, candidate).toLowerCase() === key.toLowerCase());
    if (label === undefined) return false;
    main.querySelector("#q" + at + " input[value=" + CSS.escape(label) + "]").checked = true;
    answer(item, one, label);
    const later = item.asked.findIndex((other, i) => i > at && labelsOf(item)[other.name] === undefined);
    const open = later >= 0 ? later : item.asked.findIndex((other) => labelsOf(item)[other.name] === undefined);
    const goal = open >= 0 ? main.querySelector("#q" + open + " input") : $("next");
    if (open >= 0) mark(open);
    goal.focus({ preventScroll: true });
    (goal.closest("fieldset") || goal).scrollIntoView({ block: "nearest" });
    return true;
  };
  const takeBack = () => {
    const item = current(), at = here();
    main.querySelectorAll("#q" + at + " input").forEach((input) => { input.checked = false; });
    answer(item, item.asked[at], null);
    return true;
  };
  let active = Date.now();
  document.addEventListener("keydown", (event) => {
    active = Date.now();
    if (event.ctrlKey || event.altKey || event.metaKey || event.target.matches("textarea, select") || !current()) return;
    let used = true;
    if (event.key === "ArrowRight") step(1);
    else if (event.key === "ArrowLeft") step(-1);
    else if (event.key === "Enter" && !event.target.matches("button, a")) step(1);
    else if (event.key === "Backspace" || event.key === "Delete") used = takeBack();
    else if (event.key.toLowerCase() === "s") skip(current());
    else used = event.key.length === 1 && press(event.key);
    if (used) event.preventDefault();
  });
  for (const kind of ["pointerdown", "pointermove", "scroll"]) document.addEventListener(kind, () => { active = Date.now(); }, { passive: true });
  setInterval(() => {
    if (document.visibilityState !== "visible" || Date.now() - active > IDLE_S * 1e3 || !current()) return;
    state.seconds[state.at] = (state.seconds[state.at] || 0) + 1;
    if (touched(current())) save(false);
  }, 1000);
  window.addEventListener("storage", (event) => {  // the page is open twice: both show the same
    if (event.key !== KEPT) return;
    const at = state.at;
    state = fresh();
    load();
    state.at = at;
    draw(false);
  });

  // ------------------------------------------------------------------ begin
  $("home").onclick = () => go("start");
  $("list").onclick = () => go("end");
  $("opt-out").onclick = () => optOut(!state.withoutCrisis);
  $("download").onclick = download;
  $("erase").onclick = erase;
  load();
  if (state.at !== "start" && state.at !== "end" && !current()) state.at = "start";
  draw(false);
  document.documentElement.dataset.ready = "true";
})();
