"use strict";
(() => {
  const $$ = (root, selector) => [...root.querySelectorAll(selector)];
  const make = (name, properties = {}, ...children) => {
    const element = Object.assign(document.createElement(name), properties);
    element.append(...children);
    return element;
  };
  const drawn = (name, attributes) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return element;
  };
  const read = (id) => {
    const element = document.getElementById(id);
    return element ? JSON.parse(element.textContent) : null;
  };
  document.documentElement.classList.add("js");
  for (const control of $$(document, ".controls, [data-copy]")) control.hidden = false;

  // Numbers sort as numbers, texts as texts, and nothing last, whatever the direction.
  const compare = (a, b, direction) => {
    if (a === "" || b === "") return (a === "") - (b === "");
    const [x, y] = [Number(a), Number(b)];
    const order = Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b) : x - y;
    return direction * order;
  };
  const sortable = (table) => {
    const heads = $$(table, "thead th");
    const bodies = $$(table, "tbody");
    const first = bodies.map((body) => $$(body, "tr.row"));
    const place = (sorted) => bodies.forEach((body, i) => body.append(...sorted(first[i], i)));
    const state = { column: -1, direction: 0, grouped: true };
    const apply = () => {
      const { column, direction, grouped } = state;
      const key = (row) => row.cells[column].dataset.v ?? "";
      const sorted = (rows) =>
        direction ? [...rows].sort((a, b) => compare(key(a), key(b), direction)) : rows;
      if (grouped) place(sorted);
      else bodies[0].append(...sorted(first.flat()));
      for (const head of $$(table, "tr.section")) head.hidden = !grouped;
      heads.forEach((head, i) => {
        if (i === column && direction) head.setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
        else head.removeAttribute("aria-sort");
      });
    };
    heads.forEach((head, i) => {
      const texts = $$(head, "svg");
      const button = make("button", { type: "button" }, ...[...head.childNodes].filter((node) => !texts.includes(node)));
      head.prepend(button);
      button.addEventListener("click", () => {
        const start = head.classList.contains("left") || head.textContent.trim() === "Rank" ? 1 : -1;
        if (state.column !== i) Object.assign(state, { column: i, direction: start });
        else state.direction = state.direction === start ? -start : 0;
        apply();
      });
    });
    return { state, apply };
  };
  const sorters = new Map($$(document, "table.sortable").map((table) => [table.id, sortable(table)]));

  for (const controls of $$(document, "[data-for]")) {
    const table = document.getElementById(controls.dataset.for);
    const rows = $$(table, "tr.row");
    const count = controls.querySelector(".count");
    const filters = $$(controls, "[data-filter]");
    const filter = () => {
      for (const row of rows)
        row.hidden = !filters.every((input) => {
          const { dataset } = row;
          const value = input.dataset.filter === "spec" ? `${dataset.name} ${dataset.spec}` : dataset[input.dataset.filter];
          return input.tagName === "SELECT" ? !input.value || value === input.value : value.includes(input.value.trim());
        });
      const left = rows.filter((row) => !row.hidden).length;
      count.textContent = left === rows.length ? "" : `${left} of ${rows.length} methods`;
      for (const section of $$(table, "tbody")) section.hidden = !$$(section, "tr.row").some((row) => !row.hidden);
    };
    for (const input of filters) input.addEventListener("input", filter);
    const group = controls.querySelector("[data-group]");
    group?.addEventListener("change", () => {
      const sorter = sorters.get(table.id);
      sorter.state.grouped = group.checked;
      sorter.apply();
      filter();
    });
    for (const box of $$(controls, "[data-column]"))
      box.addEventListener("change", () => {
        for (const row of $$(table, "thead tr, tr.row"))
          row.cells[Number(box.dataset.column)].toggleAttribute("data-hidden", !box.checked);
      });
    controls.addEventListener("keydown", (event) => {
      const details = event.target.closest("details");
      if (event.key === "Escape" && details) {
        details.open = false;
        details.querySelector("summary").focus();
      }
    });
  }

  for (const button of $$(document, "[data-copy]"))
    button.addEventListener("click", async () => {
      const pre = button.closest(".copy").querySelector("pre");
      try {
        await navigator.clipboard.writeText(pre.textContent);
        button.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(pre);
        button.textContent = "Selected";
      }
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    });

  const bar = (left, middle, right, zero) => {
    const svg = drawn("svg", { class: "bar", "aria-hidden": "true", width: "100%", height: "18" });
    svg.append(
      drawn("line", { class: "zero", x1: zero, x2: zero, y1: 0, y2: "100%" }),
      drawn("line", { class: "interval", x1: left, x2: right, y1: "50%", y2: "50%" }),
      drawn("circle", { cx: middle, cy: "50%", r: 3.5 }),
    );
    return svg;
  };
  for (const controls of $$(document, "[data-forest]")) {
    const place = document.getElementById(controls.dataset.forest);
    const { names, forests } = read(controls.dataset.forest.replace(/-forest$/, "-data"));
    const select = controls.querySelector("[data-reference]");
    select.addEventListener("change", () => {
      const forest = forests[select.value];
      const ticks = place.querySelector(".ticks");
      ticks.replaceChildren(...forest.ticks.map(([x, text]) => {
        const tick = drawn("text", { x, y: 12, "text-anchor": "middle" });
        tick.textContent = text;
        return tick;
      }));
      const rows = forest.lines.map(([id, left, middle, right, ...texts]) => {
        const cell = (text, properties) => make("td", { textContent: text, ...properties });
        const [delta, interval, p, verdict] = texts;
        return make("tr", { className: verdict === "no difference shown" ? "quiet" : "" },
          make("th", { scope: "row", className: "left" }, make("code", { textContent: names[id] })),
          make("td", { className: "plot" }, bar(left, middle, right, forest.zero)),
          cell(delta), cell(interval), cell(p, { className: "p" }), cell(verdict, { className: "left" }));
      });
      place.querySelector("tbody").replaceChildren(...rows);
    });
  }

  for (const controls of $$(document, "[data-claims]")) {
    const rows = $$(document.getElementById(controls.dataset.claims), "tbody tr");
    const select = controls.querySelector("[data-answer]");
    select.addEventListener("change", () => {
      for (const row of rows) row.hidden = !!select.value && row.dataset.answer !== select.value;
    });
  }

  const PAGE = 20;
  const floats = (text) => {
    const bytes = Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
    return new Float32Array(bytes.buffer);
  };
  const signed = (value) => (value < 0 ? "−" : "+") + Math.abs(value).toFixed(1);
  const answer = (method, labels, i) => {
    if (!method.kind) return "";
    method.read ??= floats(method.answers);
    const value = method.read[i];
    if (method.kind === "predicted") return labels[value] ?? String(value);
    return value.toFixed(2);
  };
  const browse = (controls, table, content) => {
    const [task, a, b, which, text] = ["task", "a", "b", "which", "text"].map((name) => controls.querySelector(`[data-items-${name}]`));
    const options = (select, entries) => select.replaceChildren(...entries.map(([value, name]) => make("option", { value, textContent: name })));
    options(task, content.tasks.map((entry, i) => [i, entry.name]));
    const state = { page: 0 };
    const values = (method) => (method.floats ??= floats(method.values));
    const rowsOf = (entry) => {
      const [x, y] = [values(entry.methods[a.value]), values(entry.methods[b.value])];
      const words = text.value.trim().toLowerCase();
      const rows = Array.from(x, (value, i) => ({ i, a: value, b: y[i], change: value - y[i] }));
      return rows
        .filter((row) => which.value === "all" || (which.value === "a" ? row.change > 0 : row.change < 0))
        .filter((row) => !words || (entry.texts[row.i] ?? []).join(" ").toLowerCase().includes(words))
        .sort((p, q) => Math.abs(q.change) - Math.abs(p.change) || p.i - q.i);
    };
    const show = () => {
      const entry = content.tasks[task.value];
      const [left, right] = [entry.methods[a.value], entry.methods[b.value]];
      const rows = rowsOf(entry);
      const pages = Math.max(1, Math.ceil(rows.length / PAGE));
      state.page = Math.min(state.page, pages - 1);
      const cell = (content, className = "") => make("td", { textContent: content, className });
      const head = ["Item", "Gold", "A answers", "B answers", "A", "B", "A − B"].map((name, i) =>
        make("th", { scope: "col", textContent: name, className: i ? "" : "left" }));
      const body = rows.slice(PAGE * state.page, PAGE * (state.page + 1)).map((row) => make("tr", {},
        make("td", { className: "texts" }, ...(entry.texts[row.i] ?? [`item ${row.i + 1}`]).map((line) => make("p", { textContent: line }))),
        cell(entry.gold[row.i] ?? ""), cell(answer(left, entry.labels, row.i)), cell(answer(right, entry.labels, row.i)),
        cell((100 * row.a).toFixed(1)), cell((100 * row.b).toFixed(1)), cell(signed(100 * row.change))));
      const turn = (name, by) => make("button", {
        type: "button", textContent: name, disabled: state.page + by < 0 || state.page + by >= pages,
        onclick: () => { state.page += by; show(); table.querySelector(`button:${by < 0 ? "first" : "last"}-of-type`).focus(); },
      });
      const seeds = left.seeds > 1 || right.seeds > 1 ? " Answers are those of the first seed, scores the mean over seeds." : "";
      const region = make("div", { className: "scroll", tabIndex: 0 },
        make("table", {}, make("caption", { className: "unseen", textContent: `Items of ${entry.name}` }),
          make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...body)));
      region.setAttribute("role", "region");
      region.setAttribute("aria-label", `Items of ${entry.name}`);
      table.replaceChildren(region,
        make("div", { className: "pager" }, turn("Previous", -1), make("output", { textContent: `${rows.length} items, page ${state.page + 1} of ${pages}` }), turn("Next", 1)),
        make("p", { className: "note", textContent: `Scores of items × 100, the largest difference first.${seeds}${entry.why ? ` Texts are not shown: ${entry.why}.` : ""}` }));
    };
    const choose = () => {
      const known = Object.keys(content.tasks[task.value].methods).map((id) => [id, content.names[id]]);
      const [x, y] = [a.value, b.value];
      options(a, known);
      options(b, known);
      if (known.some(([id]) => id === x)) a.value = x;
      b.value = known.some(([id]) => id === y) ? y : (known[1] ?? known[0])[0];
      state.page = 0;
      show();
    };
    task.addEventListener("change", choose);
    for (const input of [a, b, which, text]) input.addEventListener("input", () => { state.page = 0; show(); });
    choose();
  };
  for (const controls of $$(document, "[data-items]")) {
    const id = controls.dataset.items;
    const table = document.getElementById(`${id}-table`);
    const content = read(`${id}-data`);
    if (content) browse(controls, table, content);
    else if (table.dataset.address)
      fetch(table.dataset.address)
        .then((response) => response.json())
        .then((served) => {
          if (served.why) table.append(make("p", { className: "lead", textContent: served.why }));
          else browse(controls, table, served);
        })
        .catch(() => table.append(make("p", { className: "warning", textContent: "The items cannot be read: bench view has ended." })));
  }

  const links = new Map($$(document, ".contents a").map((link) => [link.hash.slice(1), link]));
  const watch = new IntersectionObserver((entries) => {
    for (const entry of entries)
      if (entry.isIntersecting) {
        for (const link of links.values()) link.classList.remove("here");
        links.get(entry.target.id)?.classList.add("here");
      }
  }, { rootMargin: "-15% 0px -75% 0px" });
  for (const head of $$(document, "h3[id]")) watch.observe(head);
})();
