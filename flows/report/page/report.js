"use strict";
// The page's only script: the theme switch, and the reader over the pairs stored in the page as JSON.
// Document texts become text nodes only: no innerHTML, no attributes that load or run anything.
(() => {
  const byId = (id) => document.getElementById(id);

  const theme = byId("theme");
  const toggleTheme = () => {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  };
  theme.addEventListener("click", toggleTheme);

  const holder = byId("pairs");
  if (!holder) {
    document.addEventListener("keydown", (event) => {
      if (event.key === "t" && !event.ctrlKey && !event.metaKey && !event.altKey) toggleTheme();
    });
    return;
  }
  const { pairs, meanings } = JSON.parse(holder.textContent);
  const form = byId("filters");
  const field = (name) => form.elements.namedItem(name);
  const list = byId("list");
  const article = byId("pair");
  let shown = [];
  let current = null;

  // ---- building nodes -------------------------------------------------------------------------------------------

  const make = (tag, options = {}, ...children) => {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(options)) {
      if (name === "class") node.className = value;
      else if (name === "data") Object.assign(node.dataset, value);
      else node.setAttribute(name, value);
    }
    node.append(...children.filter((child) => child !== null && child !== undefined));
    return node;
  };

  // Invisible characters and bidirectional controls are shown by code point instead of taking effect.
  const HIDDEN = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;
  const code = (character) => "U+" + character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
  const visible = (text) => {
    const found = document.createDocumentFragment();
    let end = 0;
    for (const match of text.matchAll(HIDDEN)) {
      found.append(text.slice(end, match.index), make("span", { class: "sign" }, code(match[0])));
      end = match.index + match[0].length;
    }
    found.append(text.slice(end));
    return found;
  };
  const plainText = (text) => text.replace(HIDDEN, code);
  const words = (name) => name.replaceAll("_", " ");

  // ---- searchable text and flags of each pair ----------------------------------------------------------------------

  const textOf = (side) => (side || []).map(([, parts]) => parts.map(([text]) => text).join("")).join("");
  for (const pair of pairs) {
    pair.haystack = [pair.title, pair.id, pair.detail, textOf(pair.source), textOf(pair.rewrite)].join("\n").toLowerCase();
    const support = Object.values(pair.support);
    pair.least = support.length ? Math.min(...support.map((match) => match[2])) : null;
    pair.unsupported = support.some((match) => !match[3]);
    pair.differs = pair.facts.some(([, problem]) => problem !== "missing");
    pair.name = pair.title || pair.id || "(untitled)";
  }

  // ---- filters --------------------------------------------------------------------------------------------------

  const choices = (name, values, all) => {
    const select = field(name);
    select.append(make("option", { value: "" }, all));
    for (const value of [...new Set(values)].filter((value) => value).sort()) {
      select.append(make("option", { value }, plainText(words(value))));
    }
  };
  choices("recipe", pairs.map((pair) => pair.recipe), "all");
  choices("style", pairs.map((pair) => pair.style), "all");
  choices("perspective", pairs.map((pair) => pair.perspective), "all");
  choices("reason", pairs.map((pair) => pair.reason), "all");
  choices("score", pairs.flatMap((pair) => Object.keys(pair.scores)), "any");
  if ([...field("score").options].some((option) => option.value === "similarity")) {
    [...field("score").options].find((option) => option.value === "similarity").defaultSelected = true;
  }

  const wanted = () => {
    const text = field("text").value.trim().toLowerCase();
    const number = (name) => (field(name).value === "" ? null : Number(field(name).value));
    const low = number("low"), high = number("high"), score = field("score").value;
    const same = (name) => (pair) => !field(name).value || pair[name] === field(name).value;
    const tests = [
      (pair) => !text || pair.haystack.includes(text),
      (pair) => !field("outcome").value || (field("outcome").value === "accepted") === pair.ok,
      same("recipe"), same("style"), same("perspective"), same("reason"),
      (pair) => {
        if (!score || (low === null && high === null)) return true;
        const value = pair.scores[score];
        return value !== undefined && (low === null || value >= low) && (high === null || value <= high);
      },
      (pair) => !field("unsupported").checked || pair.unsupported,
      (pair) => !field("facts").checked || pair.differs,
    ];
    const found = pairs.filter((pair) => tests.every((test) => test(pair)));
    const last = (value) => (value === null || value === undefined ? Infinity : value);
    const order = {
      support: (a, b) => last(a.least) - last(b.least),
      similarity: (a, b) => last(a.scores.similarity) - last(b.scores.similarity),
      similar: (a, b) => (b.scores.similarity ?? -2) - (a.scores.similarity ?? -2),
    }[field("order").value];
    return order ? found.sort(order) : found;
  };

  const refresh = () => {
    shown = wanted();
    byId("count").textContent =
      shown.length === pairs.length ? `${pairs.length} shown` : `${shown.length} of ${pairs.length} shown`;
    list.replaceChildren(...shown.map(entry));
    if (!shown.includes(current)) open(shown[0] || null);
    else mark();
  };

  const entry = (pair) => {
    const outcome = pair.ok ? "accepted" : "rejected";
    const button = make("button", { type: "button", class: `entry ${outcome}` },
      make("span", { class: "entry-title" }, make("bdi", {}, visible(pair.name))),
      make("span", { class: "entry-meta" }, pair.ok ? "accepted" : plainText(words(pair.reason)),
        pair.style ? ` · ${plainText(words(pair.style))}` : "",
        pair.scores.similarity === undefined ? "" : ` · ${pair.scores.similarity.toFixed(2)}`),
    );
    button.addEventListener("click", () => open(pair));
    pair.button = button;
    return make("li", {}, button);
  };

  // Scrolls only the box: scrollIntoView would also scroll the page away from the figures.
  const reveal = (box, node) => {
    const outer = box.getBoundingClientRect(), inner = node.getBoundingClientRect();
    if (inner.top < outer.top) box.scrollTop -= outer.top - inner.top;
    else if (inner.bottom > outer.bottom) box.scrollTop += inner.bottom - outer.bottom;
  };

  // ---- one pair -------------------------------------------------------------------------------------------------

  const mark = () => {
    for (const pair of shown) pair.button.setAttribute("aria-current", pair === current ? "true" : "false");
    if (current) reveal(list, current.button);
  };

  const open = (pair) => {
    current = pair;
    mark();
    article.replaceChildren(...(pair ? contents(pair) : [make("p", { class: "nothing" }, "No pair matches these filters.")]));
    article.scrollTop = 0;
  };

  const contents = (pair) => {
    const origin = [pair.recipe, pair.style, pair.perspective && `for ${pair.perspective}`].filter(Boolean);
    const place = pair.chunk === null || pair.chunk === undefined ? "" :
      `chunk ${pair.chunk + 1}${pair.n_chunks ? ` of ${pair.n_chunks}` : ""}`;
    const variant = pair.variant === null ? "" : `variant ${pair.variant + 1}`;
    const verdict = pair.ok
      ? make("p", { class: "verdict accepted" }, make("b", {}, "accepted"))
      : make("p", { class: "verdict rejected" }, make("b", {}, plainText(words(pair.reason))),
          " ", meanings[pair.reason] || "", pair.detail ? make("span", { class: "why" }, visible(pair.detail)) : null);
    const parts = [
      make("header", {},
        make("h3", {}, make("bdi", {}, visible(pair.name))),
        make("p", { class: "pair-meta" }, plainText([origin.map(words).join(" · "), place, variant, pair.id].filter(Boolean).join(" · "))),
        verdict, scores(pair)),
    ];
    if (pair.source === null) {
      parts.push(make("div", { class: "sides one" }, column("readable part of the record", "rewrite", pair)));
    } else {
      parts.push(make("div", { class: "sides" }, column("source", "source", pair), column("rewrite", "rewrite", pair)));
      parts.push(make("p", { class: "link", id: "link", role: "status" }, hint(pair)));
    }
    if (pair.facts.length) parts.push(facts(pair));
    parts.push(details(pair));
    return parts;
  };

  const hint = (pair) =>
    Object.keys(pair.support).length ? "Point at a sentence, or move to it with Tab, to see which sentences it is linked to." : "";

  const scores = (pair) => make("ul", { class: "scores" },
    ...Object.entries(pair.scores).map(([name, value]) =>
      make("li", {}, make("span", {}, plainText(words(name))), " ", make("b", {}, value.toFixed(2)))));

  const column = (title, side, pair) => {
    const text = make("div", { class: "text", dir: "auto", lang: pair.language || "" });
    for (const [number, segments] of pair[side] || []) text.append(piece(side, number, segments, pair));
    const cut = pair.cut[side === "source" ? 0 : 1];
    if (!text.textContent) text.append(make("span", { class: "nothing" }, "(empty)"));
    if (cut) text.append(make("p", { class: "nothing" }, `… ${cut.toLocaleString("en")} more characters`));
    return make("section", { class: `side ${side}` }, make("h4", {}, title), text);
  };

  const piece = (side, number, segments, pair) => {
    const inner = segments.map(([text, facts]) => {
      if (!facts.length) return visible(text);
      const fact = pair.facts[facts[0]];
      return make("mark", { class: `fact ${fact[1]}`, title: plainText(`${words(fact[0])}: ${fact[2]}`) }, visible(text));
    });
    if (number === null) return make("span", {}, ...inner);
    const match = pair[side === "rewrite" ? "support" : "coverage"][number];
    const state = match && !match[3] ? (side === "rewrite" ? " unsupported" : " left-out") : "";
    const node = make("span", { class: `sentence${state}`, tabindex: "0", data: { side, number: String(number) } });
    if (side === "source") node.append(make("sup", { "aria-hidden": "true" }, String(number + 1)), ...inner);
    else {
      node.append(...inner);
      if (match) {
        const where = match[3] ? span(match) : "no source";
        node.append(make("sup", { class: "from", "aria-hidden": "true" }, where));
      }
    }
    return node;
  };

  const span = ([first, last]) => (first === last ? `${first + 1}` : `${first + 1}–${last + 1}`);

  const factLine = ([kind, problem, detail]) =>
    make("li", {}, make("mark", { class: `fact ${problem}` }, `${plainText(words(kind))} ${problem}`), " ", visible(detail));
  const facts = (pair) => {
    const differing = pair.facts.filter(([, problem]) => problem !== "missing");
    const missing = pair.facts.filter(([, problem]) => problem === "missing");
    return make("section", { class: "facts" },
      differing.length ? make("h4", {}, "Facts that differ from the source") : null,
      make("ul", {}, ...differing.map(factLine)),
      missing.length ? make("details", {}, make("summary", {},
        `${missing.length} source ${missing.length === 1 ? "fact" : "facts"} missing from the rewrite`),
        make("ul", {}, ...missing.map(factLine))) : null);
  };

  const details = (pair) => make("details", { class: "provenance" }, make("summary", {}, "provenance"),
    make("dl", {}, ...Object.entries(pair.details).flatMap(([name, value]) =>
      [make("dt", {}, words(name)), make("dd", {}, make("bdi", {}, visible(String(value))))])));

  // ---- links between sentences ----------------------------------------------------------------------------------

  const sentences = (side) => [...article.querySelectorAll(`.sentence[data-side=${side}]`)];
  const highlight = (node) => {
    for (const lit of article.querySelectorAll(".lit, .chosen")) lit.classList.remove("lit", "chosen");
    const line = byId("link");
    if (!line) return;
    if (!node) { line.textContent = hint(current); return; }
    const side = node.dataset.side, number = Number(node.dataset.number);
    node.classList.add("chosen");
    if (side === "rewrite") {
      const match = current.support[number];
      if (!match) { line.textContent = "Too short to compare."; return; }
      const supported = match[3];
      if (supported) for (const other of sentences("source")) {
        const at = Number(other.dataset.number);
        if (at >= match[0] && at <= match[1]) { other.classList.add("lit"); }
      }
      const lit = article.querySelector(".lit");
      if (lit) reveal(article, lit);
      line.textContent = supported
        ? `Supported by sentence ${span(match)} of the source (similarity ${match[2].toFixed(2)}).`
        : `Not supported by the source: the closest sentence, ${span(match)}, has similarity ${match[2].toFixed(2)}.`;
    } else {
      const users = sentences("rewrite").filter((other) => {
        const match = current.support[other.dataset.number];
        return match && match[3] && number >= match[0] && number <= match[1];
      });
      for (const other of users) other.classList.add("lit");
      const match = current.coverage[number];
      line.textContent = users.length
        ? `Supports ${users.length === 1 ? "one sentence" : `${users.length} sentences`} of the rewrite.`
        : match && match[3] ? `Covered by sentence ${span(match)} of the rewrite (similarity ${match[2].toFixed(2)}).`
        : "Not covered by the rewrite.";
    }
  };
  let pinned = null;
  const sentenceAt = (event) => event.target.closest && event.target.closest(".sentence");
  article.addEventListener("mouseover", (event) => { if (!pinned) highlight(sentenceAt(event)); });
  article.addEventListener("mouseleave", () => { if (!pinned) highlight(null); });
  article.addEventListener("focusin", (event) => { const node = sentenceAt(event); if (node) highlight(node); });
  article.addEventListener("click", (event) => {
    const node = sentenceAt(event);
    pinned = node && node !== pinned ? node : null;
    highlight(node);
  });

  // ---- from the figures to the reader ---------------------------------------------------------------------------

  const NAMES = ["recipe", "style", "perspective", "reason"];
  for (const button of document.querySelectorAll("table.bars button")) {
    button.addEventListener("click", () => {
      form.reset();
      for (const name of NAMES) if (button.dataset[name] !== undefined) field(name).value = button.dataset[name];
      refresh();
      byId("read").scrollIntoView();
    });
  }

  // ---- keys -----------------------------------------------------------------------------------------------------

  const move = (by) => {
    const at = Math.max(0, Math.min(shown.length - 1, shown.indexOf(current) + by));
    if (shown[at]) { pinned = null; open(shown[at]); }
  };
  const choose = (outcome) => { field("outcome").value = outcome; refresh(); };
  const KEYS = {
    j: () => move(1), k: () => move(-1), t: toggleTheme,
    a: () => choose("accepted"), r: () => choose("rejected"),
    "/": () => { byId("read").scrollIntoView(); field("text").focus(); },
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") { pinned = null; form.reset(); refresh(); document.activeElement.blur(); return; }
    if (event.target.matches("input[type=search], input[type=number], select")) return;
    const action = KEYS[event.key];
    if (action) { event.preventDefault(); action(); }
  });
  form.addEventListener("input", refresh);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(refresh, 0));
  refresh();
})();
