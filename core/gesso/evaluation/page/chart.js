// Curves as SVG: rate against perception, or distortion (PSNR) against perception.
const Chart = (() => {
  const NS = "http://www.w3.org/2000/svg", COLOURS = 8, HEADROOM = 0.06;
  const at = (id) => document.getElementById(id);
  const MARKS = [
    (r) => `M${-r},0a${r},${r} 0 1,0 ${2 * r},0a${r},${r} 0 1,0 ${-2 * r},0`,
    (r) => `M${-r},${-r}H${r}V${r}H${-r}Z`,
    (r) => `M0,${-1.25 * r}L${1.15 * r},${0.85 * r}H${-1.15 * r}Z`,
    (r) => `M0,${-1.35 * r}L${1.35 * r},0L0,${1.35 * r}L${-1.35 * r},0Z`,
  ];

  function svg(name, attributes, ...children) {
    const element = document.createElementNS(NS, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  }
  const minus = (text) => text.replace("-", "\u2212");
  const mark = (index, r, more = {}) => svg("path", { class: "dot", d: MARKS[index % MARKS.length](r), ...more });
  // One colour a curve; anchors are hollow.
  const style = (series, index) => `s${index % COLOURS}${series.anchor ? " hollow" : ""}`;

  // 1, 2 or 5 times a power of ten, about `count` of them inside the range.
  function ticks(low, high, count) {
    const raw = (high - low) / count, power = 10 ** Math.floor(Math.log10(raw));
    const step = power * ([1, 2, 5, 10].find((factor) => factor * power >= raw * 0.999) ?? 10);
    const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9)), found = [];
    for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) {
      found.push([i * step, minus((i * step).toFixed(Math.min(digits, 20)))]);
    }
    return found;
  }
  function logTicks(low, high, count) {
    for (const factors of [[1, 1.5, 2, 3, 4, 5, 6, 7, 8], [1, 2, 3, 5, 7], [1, 2, 5], [1]]) {
      const found = [];
      for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++) {
        for (const factor of factors) {
          const value = Number((factor * 10 ** power).toPrecision(3));
          if (value >= low && value <= high) found.push([value, String(value)]);
        }
      }
      if (found.length > 1 && found.length <= count + 2) return found;
    }
    return ticks(low, high, count).filter(([value]) => value > 0);
  }
  function scale(values, from, to, log) {
    const turn = log ? Math.log : (value) => value;
    let low = Math.min(...values), high = Math.max(...values);
    const room = (turn(high) - turn(low)) * HEADROOM || Math.abs(turn(high)) * 0.05 || 1;
    [low, high] = [turn(low) - room, turn(high) + room];
    const place = (value) => from + (to - from) * (turn(value) - low) / (high - low);
    return log ? { place, low: Math.exp(low), high: Math.exp(high) } : { place, low, high };
  }

  function start({ metrics, series, scale: step }) {
    const chart = at("chart"), tip = at("tip"), plot = at("plot");
    const names = Object.keys(metrics), off = new Set();
    let metric = names.find((name) => metrics[name].lower) ?? names[0];
    // at equal bits, curves are of perception against distortion
    let axis = step === "quality" || !metrics[metric].lower || !("psnr" in metrics) ? "bpp" : "psnr";
    let log = false, dots = [], current = -1, drawn = 0;
    const label = (name) => (name === "bpp" ? "bits per pixel" : metrics[name].label);
    const digits = (name) => (name === "bpp" ? 3 : metrics[name].digits);
    const figure = (name, value) => minus(value.toFixed(digits(name))) + (name === "psnr" ? " dB" : "");
    const valueOf = (point, name) => (name === "bpp" ? point.bpp : point.values[name]);
    const usable = (point) => Number.isFinite(valueOf(point, axis)) && Number.isFinite(point.values[metric]);

    function draw() {
      const width = chart.clientWidth, height = Math.round(Math.min(Math.max(0.56 * width, 250), 460));
      if (!width) return;
      drawn = width;
      current = -1;
      tip.hidden = true;
      chart.setAttribute("viewBox", `0 0 ${width} ${height}`);
      chart.style.height = `${height}px`;
      const curves = series.map((one, index) => ({ one, index, points: one.points.filter(usable) })).filter((curve) => curve.points.length && !off.has(curve.index));
      chart.replaceChildren();
      dots = [];
      if (!curves.length) {
        chart.append(svg("text", { x: width / 2, y: height / 2, "text-anchor": "middle" }, "nothing to draw"));
        describe(curves);
        return;
      }
      const box = { left: 58, right: width - 14, top: 28, bottom: height - 42 };
      const all = curves.flatMap((curve) => curve.points);
      const across = scale(all.map((point) => valueOf(point, axis)), box.left, box.right, log && axis === "bpp");
      const up = scale(all.map((point) => point.values[metric]), box.bottom, box.top, false);
      frame(box, across, up, width, height);
      if (axis !== "bpp") links(curves, across, up);
      for (const curve of curves) trace(curve, across, up);
      describe(curves);
    }

    function frame(box, across, up, width, height) {
      const grid = svg("g", { "aria-hidden": "true" });
      for (const [value, text] of ticks(up.low, up.high, 5)) {
        const y = up.place(value);
        grid.append(svg("line", { class: "grid", x1: box.left, x2: box.right, y1: y, y2: y }));
        grid.append(svg("text", { x: box.left - 8, y: y + 4, "text-anchor": "end" }, text));
      }
      const many = Math.max(3, Math.min(8, Math.floor(width / 90)));
      const wide = log && axis === "bpp" ? logTicks(across.low, across.high, many) : ticks(across.low, across.high, many);
      for (const [value, text] of wide) {
        const x = across.place(value);
        grid.append(svg("line", { class: "grid", x1: x, x2: x, y1: box.top, y2: box.bottom }));
        grid.append(svg("text", { x, y: box.bottom + 18, "text-anchor": "middle" }, text));
      }
      const better = metrics[metric].lower ? "\u2193 lower is better" : "\u2191 higher is better";
      grid.append(svg("text", { class: "title", x: 14, y: 16 }, `${label(metric)}  ${better}`));
      const rate = axis === "bpp" ? `${label(axis)}${log ? ", logarithmic" : ""}` : `${label(axis)}, dB \u2192 less distortion`;
      grid.append(svg("text", { class: "title", x: box.right, y: height - 6, "text-anchor": "end" }, rate));
      chart.append(grid);
    }

    // Perception against distortion: the way from plain to gesso's at each quality.
    function links(curves, across, up) {
      const qualities = new Map();
      for (const { one, points } of curves.filter((curve) => curve.one.way)) {
        for (const point of points) {
          const key = `${one.group}\n${point.quality}`;
          qualities.set(key, [...(qualities.get(key) ?? []), point]);
        }
      }
      for (const points of qualities.values()) {
        if (points.length > 1) chart.append(svg("path", { class: "link", d: path(points, across, up) }));
      }
    }
    const path = (points, across, up) => points.map((point, i) => `${i ? "L" : "M"}${across.place(valueOf(point, axis)).toFixed(1)},${up.place(point.values[metric]).toFixed(1)}`).join("");

    function trace({ one, index, points }, across, up) {
      const group = svg("g", { class: style(one, index), "data-series": one.name });
      group.append(svg("path", { class: "line", d: path(points, across, up) }));
      for (const point of points) {
        const x = across.place(valueOf(point, axis)), y = up.place(point.values[metric]);
        group.append(mark(index, 4.5, { transform: `translate(${x.toFixed(1)},${y.toFixed(1)})` }));
        dots.push({ x, y, one, point });
      }
      chart.append(group);
    }

    function describe(curves) {
      const names = curves.map((curve) => `${curve.one.name}, ${curve.points.length} points`);
      chart.setAttribute("aria-label", `${label(metric)} against ${label(axis)}: ${names.join("; ") || "no curve"}`);
    }

    function tell(index) {
      if (index === current) return;
      current = index;
      chart.querySelector(".halo")?.remove();
      tip.hidden = index < 0;
      if (index < 0) return;
      const { x, y, one, point } = dots[index];
      chart.append(svg("circle", { class: "halo", cx: x, cy: y, r: 9 }));
      const list = document.createElement("dl"), head = document.createElement("b");
      head.textContent = `${one.name}, ${step} ${point.quality}`;
      const rows = ["bpp", ...names.filter((name) => Number.isFinite(point.values[name]))];
      for (const name of rows) {
        const term = document.createElement("dt"), value = document.createElement("dd");
        term.textContent = name === "bpp" ? "bpp" : label(name);
        value.textContent = figure(name, valueOf(point, name));
        list.append(term, value);
      }
      tip.replaceChildren(head, list);
      const left = x + tip.offsetWidth + 28 > plot.clientWidth ? x - tip.offsetWidth - 16 : x + 16;
      const top = Math.min(Math.max(y - 20, 4), plot.clientHeight - tip.offsetHeight - 4);
      tip.style.transform = `translate(${Math.max(4, left)}px, ${top}px)`;
    }

    function nearest(event) {
      const box = chart.getBoundingClientRect();
      const [px, py] = [event.clientX - box.left, event.clientY - box.top];
      let best = -1, least = Infinity;
      dots.forEach(({ x, y }, index) => {
        const away = Math.hypot(x - px, y - py);
        if (away < least) [best, least] = [index, away];
      });
      tell(least < 60 || event.pointerType === "touch" ? best : -1);
    }

    function legend() {
      at("legend").replaceChildren(...series.map((one, index) => {
        const button = document.createElement("button"), text = document.createElement("span");
        const sample = svg("svg", { width: 26, height: 12, viewBox: "-13 -6 26 12", class: style(one, index), "aria-hidden": "true" });
        sample.append(svg("path", { class: "line", d: "M-12,0H12", "stroke-width": 2 }), mark(index, 4));
        text.textContent = one.name;
        button.type = "button";
        button.append(sample, text);
        button.setAttribute("aria-pressed", "true");
        button.addEventListener("click", () => {
          if (!off.delete(index)) off.add(index);
          button.setAttribute("aria-pressed", !off.has(index));
          draw();
        });
        return button;
      }));
    }

    const labels = Object.fromEntries([["bpp", "Bits per pixel"], ...names.map((name) => [name, metrics[name].label])]);
    function choices() {
      segments(at("metric"), names, metric, (name) => {
        metric = name;
        if (axis === metric) axis = "bpp";
        choices();
        at("metric").querySelector(":checked").focus();
        draw();
      }, labels);
      const axes = metric !== "psnr" && names.includes("psnr") ? ["bpp", "psnr"] : ["bpp"];
      segments(at("axis"), axes, axis, (name) => {
        axis = name;
        at("log").disabled = axis !== "bpp";
        at("axis-note").textContent = axis === "bpp" || step !== "quality" ? "" : " Dotted lines go from plain to gesso at one quality.";
        draw();
      }, labels);
      at("log").disabled = axis !== "bpp";
    }

    chart.addEventListener("pointermove", nearest);
    chart.addEventListener("pointerdown", nearest);
    chart.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") tell(-1); });
    chart.addEventListener("blur", () => tell(-1));
    chart.addEventListener("keydown", (event) => {
      const by = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
      if (event.key === "Escape") tell(-1);
      if (!by || !dots.length) return;
      event.preventDefault();
      tell((Math.max(current, by < 0 ? 0 : -1) + by + dots.length) % dots.length);
    });
    at("log").addEventListener("change", (event) => { log = event.target.checked; draw(); });
    const resized = () => { if (chart.clientWidth !== drawn) draw(); };
    new ResizeObserver(() => requestAnimationFrame(resized)).observe(plot);
    choices();
    legend();
    at("curves").hidden = false;
    draw();
  }

  return { start, ticks, logTicks };
})();
