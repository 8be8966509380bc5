"use strict";
// All that the page says stands in it without this script: it reads values from charts and strips, and
// enlarges a part of a chart. It loads nothing and keeps nothing.
(() => {
  const SVG = "http://www.w3.org/2000/svg";

  const made = (name, attributes = {}, text) => {
    const element = name.startsWith("svg:")
      ? document.createElementNS(SVG, name.slice(4)) : document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (text !== undefined) element.textContent = text;
    return element;
  };
  const written = (value) => {
    if (value === null || value === undefined) return "–";
    const size = Math.abs(value);
    if (size && (size < 1e-4 || size >= 1e6)) return value.toExponential(2);
    return Number.isInteger(value) ? value.toLocaleString("en") : String(+value.toPrecision(4));
  };
  const between = (value, low, high) => Math.min(high, Math.max(low, value));
  const nearest = (values, wanted) => {
    let best = -1, gap = Infinity;
    values.forEach((value, i) => {
      const distance = Math.abs(value - wanted);
      if (distance < gap) { gap = distance; best = i; }
    });
    return best;
  };

  class Chart {
    constructor(figure) {
      this.figure = figure;
      this.frame = figure.querySelector(".chart");
      this.svg = this.frame.querySelector("svg");
      this.plot = JSON.parse(figure.dataset.plot);
      this.title = figure.querySelector("figcaption").textContent;
      const [, , width, height] = this.svg.getAttribute("viewBox").split(" ").map(Number);
      Object.assign(this, { width, height, x: this.plot.x, y: this.plot.y, at: -1 });
      this.stops = this.places();
      if (this.stops.length) { this.controls(); this.listen(); }
    }

    places() {
      const { kind, lines } = this.plot;
      if (kind === "rows") return lines.map((_, i) => i);
      if (kind === "points") return lines[0].x.map((_, i) => i).filter((i) => lines[0].y[i] !== null);
      return [...new Set(lines.flatMap((line) => line.x))].sort((a, b) => a - b);
    }

    controls() {
      this.live = this.svg.appendChild(made("svg:g", { class: "live" }));
      this.reading = made("div", { class: "reading", "aria-hidden": "true" });
      this.reading.hidden = true;
      this.probe = made("div", {
        class: "probe", role: "slider", tabindex: "0", "aria-label": `Values of ${this.title}`,
        "aria-valuemin": "0", "aria-valuemax": String(this.stops.length - 1),
        "aria-valuenow": "0", "aria-valuetext": "not read yet",
      });
      this.frame.append(this.probe, this.reading);
      if (!this.plot.zoom) return;
      const tools = made("div", { class: "tools", role: "group", "aria-label": `Part of ${this.title}` });
      const button = (sign, name, act) => {
        const one = tools.appendChild(made("button", { type: "button", "aria-label": name, title: name }, sign));
        one.addEventListener("click", act);
        return one;
      };
      button("+", "Enlarge", () => this.scale(0.5));
      button("−", "Show more", () => this.scale(2));
      this.whole = button("↔", "Show all", () => this.zoom(this.plot.x));
      this.whole.disabled = true;
      this.figure.prepend(tools);
    }

    listen() {
      const probe = this.probe;
      probe.addEventListener("pointermove", (event) => this.moved(event));
      probe.addEventListener("pointerleave", () => { if (document.activeElement !== probe) this.hide(); });
      probe.addEventListener("pointerdown", (event) => {
        if (event.button) return;
        this.start = this.place(event)[0];
        probe.setPointerCapture(event.pointerId);
        this.moved(event);
      });
      probe.addEventListener("pointerup", (event) => this.released(event));
      probe.addEventListener("pointercancel", () => { this.start = undefined; this.hide(); });
      probe.addEventListener("dblclick", () => this.zoom(this.plot.x));
      probe.addEventListener("keydown", (event) => this.pressed(event));
      probe.addEventListener("focus", () => this.show(this.at < 0 ? 0 : this.at));
      probe.addEventListener("blur", () => this.hide());
    }

    // From values to the picture's own units, and back.
    to(axis, value) {
      const [left, top, right, bottom] = this.plot.box;
      const [from, till] = axis ? [bottom, top] : [left, right];
      const f = this.plot.log[axis] ? Math.log10 : Number;
      const [low, high] = (axis ? this.y : this.x).map(f);
      return from + (f(value) - low) / (high - low || 1) * (till - from);
    }
    from(place) {
      const [left, , right] = this.plot.box;
      const share = between((place - left) / (right - left), 0, 1);
      const log = this.plot.log[0];
      const [low, high] = this.x.map(log ? Math.log10 : Number);
      return log ? 10 ** (low + share * (high - low)) : low + share * (high - low);
    }
    place(event) {
      const box = this.svg.getBoundingClientRect();
      return [(event.clientX - box.left) / box.width * this.width, (event.clientY - box.top) / box.height * this.height];
    }

    moved(event) {
      const [x, y] = this.place(event);
      this.show(this.closest(x, y));
      if (this.start === undefined || !this.plot.zoom || Math.abs(x - this.start) < 6) return;
      const [, top, , bottom] = this.plot.box;
      this.live.append(made("svg:rect", { class: "part", x: Math.min(x, this.start), y: top,
        width: Math.abs(x - this.start), height: bottom - top }));
    }
    released(event) {
      const start = this.start, [x] = this.place(event);
      this.start = undefined;
      if (start === undefined || !this.plot.zoom || Math.abs(x - start) < 6) return;
      this.zoom([this.from(Math.min(x, start)), this.from(Math.max(x, start))]);
    }
    pressed(event) {
      const last = this.stops.length - 1;
      const act = {
        ArrowRight: () => this.show(this.at + 1), ArrowUp: () => this.show(this.at + 1),
        ArrowLeft: () => this.show(this.at - 1), ArrowDown: () => this.show(this.at - 1),
        PageUp: () => this.show(this.at + 10), PageDown: () => this.show(this.at - 10),
        Home: () => this.show(0), End: () => this.show(last),
        "+": () => this.scale(0.5), "=": () => this.scale(0.5), "-": () => this.scale(2),
        0: () => this.zoom(this.plot.x), Escape: () => this.zoom(this.plot.x),
      }[event.key];
      if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      act();
    }

    closest(x, y) {
      const { kind, lines } = this.plot;
      if (kind === "lines") return nearest(this.stops, this.from(x));
      if (kind === "points") {
        const [one] = lines;
        return nearest(this.stops.map((i) => Math.hypot(this.to(0, one.x[i]) - x, this.to(1, one.y[i]) - y)), 0);
      }
      const along = this.from(x);
      return nearest(lines.map((line) => {
        const i = between(Math.floor(along), 0, line.x.length - 2), rest = along - i;
        return this.to(1, line.y[i] * (1 - rest) + line.y[i + 1] * rest);
      }), y);
    }

    // What is read at a stop: its words, the place of the words, and what marks it in the picture.
    read(i) {
      const { kind, lines, unit } = this.plot;
      const dot = (x, y, colour) => made("svg:circle", { cx: x, cy: y, r: 4, style: `fill:var(--${colour})` });
      if (kind === "rows") {
        const line = lines[i], points = line.x.map((x, k) => [this.to(0, x), this.to(1, line.y[k])]);
        const d = points.map(([x, y], k) => `${k ? "L" : "M"}${x} ${y}`).join("");
        return [[line.t[0]], points[points.length >> 1][0],
          [made("svg:path", { d, style: "fill:none;stroke:var(--ink);stroke-width:2.5" })]];
      }
      if (kind === "points") {
        const one = lines[0], k = this.stops[i], x = this.to(0, one.x[k]), y = this.to(1, one.y[k]);
        const ring = made("svg:circle", { cx: x, cy: y, r: 8, style: "fill:none;stroke:var(--ink);stroke-width:2" });
        return [one.t ? [one.t[k]] : [`${unit} ${written(one.x[k])}: ${written(one.y[k])}`], x, [ring]];
      }
      const stop = this.stops[i], x = this.to(0, stop), [, top, , bottom] = this.plot.box;
      const words = [`${unit} ${written(stop)}`];
      const marks = [made("svg:path", { class: "cursor", d: `M${x} ${top}V${bottom}` })];
      const reach = (this.x[1] - this.x[0]) / 40;
      for (const line of lines) {
        const k = nearest(line.x, stop);
        if (Math.abs(line.x[k] - stop) > reach) continue;
        const value = line.y[k], there = value !== null && value !== undefined;
        const band = there && line.l && line.l[k] < line.h[k] ? ` (${written(line.l[k])} to ${written(line.h[k])})` : "";
        words.push(`${line.n} ${written(value)}${band}`);
        if (there) marks.push(dot(this.to(0, line.x[k]), this.to(1, value), line.c));
      }
      return [words, x, marks];
    }

    show(wanted) {
      let i = between(wanted, 0, this.stops.length - 1);
      if (this.plot.kind === "lines") {  // a part is shown: no stop beyond its ends
        const inside = this.stops.map((x, k) => k).filter((k) => this.stops[k] >= this.x[0] && this.stops[k] <= this.x[1]);
        if (inside.length) i = between(i, inside[0], inside[inside.length - 1]);
      }
      this.at = i;
      const [words, x, marks] = this.read(i);
      this.live.replaceChildren(...marks);
      this.reading.replaceChildren(...words.map((word) => made("span", {}, word)));
      this.reading.hidden = false;
      const left = x < this.width / 2;
      this.reading.style.left = left ? `${100 * x / this.width + 2}%` : "";
      this.reading.style.right = left ? "" : `${100 - 100 * x / this.width + 2}%`;
      this.probe.setAttribute("aria-valuenow", String(i));
      this.probe.setAttribute("aria-valuetext", words.join(", "));
    }
    hide() {
      this.live.replaceChildren();
      this.reading.hidden = true;
    }

    scale(factor) {
      const log = this.plot.log[0], f = log ? Math.log10 : Number, back = (v) => (log ? 10 ** v : v);
      const [low, high] = this.x.map(f);
      const { kind, lines } = this.plot;
      const stop = this.at < 0 ? undefined : kind === "points" ? lines[0].x[this.stops[this.at]] : this.stops[this.at];
      const middle = stop === undefined ? (low + high) / 2 : between(f(stop), low, high);
      const half = (high - low) * factor / 2;
      this.zoom([back(middle - half), back(middle + half)]);
    }
    zoom([low, high]) {
      if (!this.plot.zoom) return;
      const [first, last] = this.plot.x;
      low = Math.max(low, first);
      high = Math.min(high, last);
      const xs = [...new Set(this.plot.lines.flatMap((line) => line.x))];
      if (xs.filter((x) => x >= low && x <= high).length < 2) return;
      const whole = low <= first && high >= last;
      this.x = whole ? this.plot.x : [low, high];
      this.y = whole ? this.plot.y : this.heights(low, high);
      this.whole.disabled = whole;
      this.svg.classList.toggle("zoomed", !whole);
      this.part?.remove();
      this.part = whole ? undefined : this.svg.insertBefore(this.drawn(), this.live);
      this.hide();
      if (document.activeElement === this.probe) this.show(this.at < 0 ? 0 : this.at);
    }

    heights(low, high) {
      const seen = this.plot.lines.flatMap((line) => [line.y, line.l ?? [], line.h ?? []].flatMap(
        (values) => values.filter((v, i) => v !== null && line.x[i] >= low && line.x[i] <= high)));
      if (!seen.length) return this.plot.y;
      const log = this.plot.log[1], f = log ? Math.log10 : Number, back = (v) => (log ? 10 ** v : v);
      const least = f(Math.min(...seen)), most = f(Math.max(...seen));
      const margin = 0.05 * (most - least) || (log ? 0.1 : 0.05 * Math.abs(most) || 1);
      return [back(least - margin), back(most + margin)];
    }

    ticks(axis) {
      const [low, high] = axis ? this.y : this.x;
      if (this.plot.log[axis] && high / low > 8) {
        const found = [];
        for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++) {
          for (const part of high / low > 1e3 ? [1] : [1, 2, 5]) found.push(part * 10 ** power);
        }
        return found.filter((v) => v >= low && v <= high);
      }
      const rough = (high - low) / 5, power = 10 ** Math.floor(Math.log10(rough));
      let step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough);
      if (!axis && ["epoch", "step", "trial"].includes(this.plot.unit)) step = Math.max(1, step);
      const found = [];
      for (let k = Math.ceil(low / step); k * step <= high * (1 + 1e-12); k++) found.push(+(k * step).toPrecision(12));
      return found;
    }

    drawn() {
      const [left, top, right, bottom] = this.plot.box;
      const part = made("svg:g", { class: "live" });
      const label = (x, y, text, anchor, colour = "muted") => part.append(made("svg:text",
        { x, y, "text-anchor": anchor, style: `font-size:11px;fill:var(--${colour})` }, text));
      for (const y of this.ticks(1)) {
        part.append(made("svg:path", { class: "grid", d: `M${left} ${this.to(1, y)}H${right}` }));
        label(left - 6, this.to(1, y) + 4, written(y), "end");
      }
      for (const x of this.ticks(0)) label(this.to(0, x), bottom + 16, written(x), "middle");
      part.append(made("svg:path", { class: "grid", d: `M${left} ${bottom}H${right}` }));
      const [where, word] = this.plot.mark ?? [];
      if (where >= this.x[0] && where <= this.x[1]) {
        part.append(made("svg:path", { class: "cursor", "stroke-dasharray": "1 2", d: `M${this.to(0, where)} ${top}V${bottom}` }));
        label(this.to(0, where), top - 5, `${word} ${written(where)}`, "middle");
      }
      label(right + 6, bottom + 16, this.plot.kind === "lines" ? this.plot.unit : "", "start");
      const [width, height] = [right - left, bottom - top + 8];  // a picture within cuts off what lies outside
      const inner = part.appendChild(made("svg:svg",
        { x: left, y: top - 4, width, height, viewBox: `${left} ${top - 4} ${width} ${height}` }));
      for (const line of this.plot.lines) inner.append(...this.traced(line));
      if (this.plot.lines.length > 1) this.named(label, right);
      return part;
    }
    traced(line) {
      const points = line.x.map((x, i) => [x, line.y[i], i]).filter(([x, y]) => y !== null);
      const colour = `var(--${line.c})`, found = [];
      if (line.l) {
        const there = line.x.map((_, i) => i).filter((i) => line.l[i] !== null && line.h[i] !== null);
        const edge = (values) => (i) => `${this.to(0, line.x[i])} ${this.to(1, values[i])}`;
        const d = `M${[...there.map(edge(line.h)), ...there.reverse().map(edge(line.l))].join("L")}z`;
        if (there.length) found.push(made("svg:path", { d, style: `fill:${colour};fill-opacity:.22;stroke:none` }));
      }
      const few = points.filter(([x]) => x >= this.x[0] && x <= this.x[1]).length <= 60;
      if (line.w) {
        let d = "", before = -2;
        for (const [x, y, i] of points) {
          d += `${i === before + 1 ? "L" : "M"}${this.to(0, x)} ${this.to(1, y)}`;
          before = i;
        }
        const dashes = line.d ? ";stroke-dasharray:6.7,2.9" : "";
        found.push(made("svg:path", { d, style: `fill:none;stroke:${colour};stroke-width:${line.w}${dashes}` }));
      }
      if (!line.w || few) {
        for (const [x, y] of points) {
          found.push(made("svg:circle", { cx: this.to(0, x), cy: this.to(1, y), r: line.w ? 2 : 3, style: `fill:${colour}` }));
        }
      }
      return found;
    }
    named(label, right) {
      const [, top, , bottom] = this.plot.box;
      const ends = this.plot.lines.map((line) => {
        const inside = line.x.map((_, i) => i).filter((i) => line.y[i] !== null && line.x[i] <= this.x[1]);
        return inside.length ? [this.to(1, line.y[inside[inside.length - 1]]), line] : null;
      }).filter(Boolean).sort((a, b) => a[0] - b[0]);
      let floor = top;
      for (const [y, line] of ends) {
        const place = Math.max(between(y, top, bottom), floor);
        label(right + 6, place + 4, line.n, "start", line.c);
        floor = place + 14;
      }
    }
  }

  // Strips: each holds its values; "" repeats the one before, "-" is none.
  const values = (strip) => {
    let last = "-";
    return strip.dataset.values.split(",").map((value) => (last = value || last));
  };
  const strips = (table, number) => {
    const all = [...table.querySelectorAll("svg.strip")].map((strip) => {
      const cell = strip.parentElement, row = cell.parentElement;
      const name = `${row.cells[0].textContent}, ${strip.getAttribute("aria-label").split(" from ")[0]}`;
      const mark = strip.appendChild(made("svg:path", { class: "now", d: "" }));
      return { strip, name, mark, values: values(strip), said: cell.appendChild(made("span", { class: "at" })) };
    });
    if (!all.length) return;
    const columns = all[0].values.length, [from, to] = [Number(table.dataset.from), Number(table.dataset.to)];
    const step = (i) => Math.min(to, Math.floor(from + (i + 0.5) * (to - from + 1) / columns));
    const reading = table.appendChild(made("div", { class: "reading", "aria-hidden": "true" }));
    reading.hidden = true;
    const show = (i) => all.forEach((one) => {
      one.mark.setAttribute("d", i < 0 ? "" : `M${i} 0h1v1h-1z`);
      one.said.textContent = i < 0 || one.values[i] === "-" ? "" : one.values[i];
    });
    for (const one of all) {
      one.strip.addEventListener("pointermove", (event) => {
        const box = one.strip.getBoundingClientRect(), outer = table.getBoundingClientRect();
        const i = between(Math.floor((event.clientX - box.left) / box.width * columns), 0, columns - 1);
        const value = one.values[i] === "-" ? "nothing measured" : one.values[i];
        reading.replaceChildren(made("span", {}, one.name), made("span", {}, `step ${written(step(i))}: ${value}`));
        reading.hidden = false;
        reading.style.left = `${between(event.clientX - outer.left + 12, 0, Math.max(0, outer.width - 260))}px`;
        reading.style.top = `${box.bottom - outer.top + 6}px`;
      });
      one.strip.addEventListener("pointerleave", () => { reading.hidden = true; });
    }
    const line = made("p", { class: "time" });
    const id = `time-${number}`;
    const range = made("input", { type: "range", id, min: "-1", max: String(columns - 1), value: "-1" });
    const said = made("output", { for: id }, "all steps");
    line.append(made("label", { for: id }, "Values at step "), range, said);
    range.addEventListener("input", () => {
      const i = Number(range.value), text = i < 0 ? "all steps" : `about ${written(step(i))}`;
      said.textContent = text;
      range.setAttribute("aria-valuetext", text);
      show(i);
    });
    range.setAttribute("aria-valuetext", "all steps");
    table.before(line);
  };

  for (const figure of document.querySelectorAll("figure[data-plot]")) new Chart(figure);
  document.querySelectorAll(".heat[data-from]").forEach(strips);
})();
