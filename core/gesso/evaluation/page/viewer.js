// The slider: plain left of the line, gesso right of it, both under one zoom and pan.
const Viewer = (() => {
  const LEAST_STAGE = 220, MOST = 32;
  const STOPS = [1 / 8, 1 / 4, 1 / 3, 1 / 2, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32];
  const at = (id) => document.getElementById(id);
  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

  function start(pairs) {
    const stage = at("stage"), handle = at("handle"), source = at("show-source");
    const layers = { plain: at("plain"), gesso: at("gesso"), source: at("source") };
    const pointers = new Map();
    let pair = pairs[0], shown = [], split = 0.5, drag = null;
    let width = 0, height = 0, zoom = 1, x = 0, y = 0;

    // Whole steps keep pixels square; a picture too large for the screen is scaled down.
    function fitting() {
      const room = Math.min(width / pair.width, tallest() / pair.height);
      return room >= 1 ? Math.min(Math.floor(room), 4) : room;
    }
    const tallest = () => Math.max(LEAST_STAGE, 0.78 * window.innerHeight);
    const fits = () => pair.width * zoom <= width + 0.5 && pair.height * zoom <= height + 0.5;

    function fit() {
      width = stage.clientWidth;
      zoom = fitting();
      height = Math.min(Math.max(pair.height * zoom, LEAST_STAGE), tallest());
      stage.style.height = `${height}px`;
      draw();
    }

    function draw() {
      const w = pair.width * zoom, h = pair.height * zoom;
      x = w <= width ? (width - w) / 2 : clamp(x, width - w, 0);
      y = h <= height ? (height - h) / 2 : clamp(y, height - h, 0);
      for (const image of shown) image.style.transform = `translate(${x}px, ${y}px) scale(${zoom})`;
      const [left, right] = edges(), line = left + split * (right - left), percent = Math.round(100 * split);
      layers.plain.style.clipPath = `inset(0 ${width - line}px 0 0)`;
      layers.gesso.style.clipPath = `inset(0 0 0 ${line}px)`;
      handle.style.left = `${line}px`;
      at("tag-plain").style.left = `${left + 10}px`;
      at("tag-gesso").style.right = `${width - right + 10}px`;
      handle.setAttribute("aria-valuenow", percent);
      handle.setAttribute("aria-valuetext", `${percent} % plain, ${100 - percent} % gesso`);
      stage.classList.toggle("zoomed", !fits());
      stage.classList.toggle("close", zoom >= 2);
      at("zoom").value = `${Math.round(100 * zoom)} %`;
      at("zoom-out").disabled = zoom <= least();
      at("zoom-in").disabled = zoom >= MOST;
    }

    // The part of the picture that is on the stage; the line stays inside it.
    const edges = () => [Math.max(0, x), Math.min(width, x + pair.width * zoom)];
    const least = () => Math.min(fitting(), 1);

    function zoomTo(value, cx = width / 2, cy = height / 2) {
      const next = clamp(value, least(), MOST), ratio = next / zoom;
      x = cx - ratio * (cx - x);
      y = cy - ratio * (cy - y);
      zoom = next;
      // The stage of a small picture grows with it, as far as the screen goes.
      height = Math.max(height, Math.min(pair.height * zoom, tallest()));
      stage.style.height = `${height}px`;
      draw();
    }
    const stepIn = () => zoomTo(STOPS.find((stop) => stop > zoom * 1.01) ?? MOST);
    const stepOut = () => zoomTo(STOPS.findLast((stop) => stop < zoom / 1.01) ?? 0);
    function pan(dx, dy) { x += dx; y += dy; draw(); }
    function splitAt(px) {
      const [left, right] = edges();
      split = clamp((px - left) / Math.max(1, right - left), 0, 1);
      draw();
    }

    function show(next) {
      const again = next.width === pair.width && next.height === pair.height && shown.length;
      pair = next;
      for (const image of shown) if (image.id) at("gallery").append(image); else image.remove();
      const used = new Set();
      shown = Object.entries(layers).map(([side, layer]) => {
        let image = at(pair[side]);
        // Two sides may be one picture, as of a lossless coding.
        if (used.has(image)) { image = image.cloneNode(); image.removeAttribute("id"); }
        used.add(image);
        layer.append(image);
        return image;
      });
      caption("caption-plain", pair.captions[0]);
      caption("caption-gesso", pair.captions[1]);
      at("window-note").hidden = !pair.note;
      at("window-note").textContent = pair.note;
      if (again) draw(); else fit();
    }

    function caption(id, text) {
      at(id).replaceChildren(...text.split(" \u00b7 ").map((part) => {
        const fact = document.createElement("span");
        fact.textContent = part;
        return fact;
      }));
    }

    function truth(on) {
      layers.source.hidden = !on;
      stage.classList.toggle("truth", on);
      source.setAttribute("aria-pressed", on);
    }

    function place(event) {
      const box = stage.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    }
    stage.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      stage.setPointerCapture(event.pointerId);
      pointers.set(event.pointerId, place(event));
      handle.focus({ preventScroll: true });
      drag = event.target === handle || fits() ? "line" : "pan";
      stage.classList.toggle("panning", drag === "pan");
      if (drag === "line" && pointers.size === 1) splitAt(place(event)[0]);
      if (event.pointerType === "mouse") event.preventDefault();
    });
    stage.addEventListener("pointermove", (event) => {
      const before = pointers.get(event.pointerId);
      if (!before) return;
      const now = place(event);
      pointers.set(event.pointerId, now);
      if (pointers.size === 2) pinch(event.pointerId, before, now);
      else if (drag === "line") splitAt(now[0]);
      else pan(now[0] - before[0], now[1] - before[1]);
    });
    for (const kind of ["pointerup", "pointercancel"]) {
      stage.addEventListener(kind, (event) => {
        pointers.delete(event.pointerId);
        stage.classList.remove("panning");
        if (pointers.size) drag = fits() ? "" : "pan";
      });
    }
    function pinch(id, before, now) {
      const other = [...pointers].find(([key]) => key !== id)[1];
      const span = (point) => Math.hypot(point[0] - other[0], point[1] - other[1]);
      const middle = (point) => [(point[0] + other[0]) / 2, (point[1] + other[1]) / 2];
      const [from, to] = [middle(before), middle(now)];
      x += to[0] - from[0];
      y += to[1] - from[1];
      zoomTo(zoom * span(now) / Math.max(1, span(before)), ...to);
    }
    // A wheel scrolls the page until the stage was clicked: nobody gets stuck on a picture.
    stage.addEventListener("wheel", (event) => {
      if (!(event.ctrlKey || event.metaKey || document.activeElement === handle)) return;
      event.preventDefault();
      const lines = event.deltaMode === 1 ? 16 : 1;
      zoomTo(zoom * Math.exp(-0.002 * clamp(event.deltaY * lines, -240, 240)), ...place(event));
    }, { passive: false });
    stage.addEventListener("dblclick", (event) => {
      if (fits()) zoomTo(Math.max(3, 2 * zoom), ...place(event)); else fit();
    });

    const keys = {
      ArrowLeft: (e) => e.shiftKey ? pan(48, 0) : moveLine(-0.01),
      ArrowRight: (e) => e.shiftKey ? pan(-48, 0) : moveLine(0.01),
      ArrowUp: (e) => e.shiftKey ? pan(0, 48) : moveLine(0.01),
      ArrowDown: (e) => e.shiftKey ? pan(0, -48) : moveLine(-0.01),
      PageUp: () => moveLine(0.1), PageDown: () => moveLine(-0.1),
      Home: () => moveLine(-1), End: () => moveLine(1),
      "+": stepIn, "=": stepIn, "-": stepOut, 0: fit, 1: () => zoomTo(1),
    };
    function moveLine(by) { split = clamp(split + by, 0, 1); draw(); }
    handle.addEventListener("keydown", (event) => {
      const act = event.ctrlKey || event.metaKey || event.altKey ? null : keys[event.key];
      if (act) { act(event); event.preventDefault(); }
    });
    const isSource = (event) => event.key.toLowerCase() === "s" && !event.ctrlKey && !event.metaKey && event.target.tagName !== "SELECT";
    document.addEventListener("keydown", (event) => { if (isSource(event)) truth(true); });
    document.addEventListener("keyup", (event) => { if (isSource(event)) truth(false); });
    source.addEventListener("click", () => truth(layers.source.hidden));
    at("zoom-in").addEventListener("click", stepIn);
    at("zoom-out").addEventListener("click", stepOut);
    at("zoom-one").addEventListener("click", () => zoomTo(1));
    at("zoom-fit").addEventListener("click", fit);
    const resized = () => { if (stage.clientWidth !== width) fit(); };
    new ResizeObserver(() => requestAnimationFrame(resized)).observe(stage);
    at("viewer").hidden = false;
    choose(pairs, show);
  }

  // Picture and quality, where there is a choice.
  function choose(pairs, show) {
    const names = [...new Set(pairs.map((pair) => pair.name))], select = at("picture");
    at("picture-choice").hidden = names.length < 2;
    for (const name of names) select.append(new Option(name));
    let wanted = String(pairs[0].quality);
    function update() {
      const own = pairs.filter((pair) => pair.name === names[select.selectedIndex]);
      const chosen = own.find((pair) => String(pair.quality) === wanted) ?? own[0];
      segments(at("quality"), own.map((pair) => String(pair.quality)), String(chosen.quality), (quality) => {
        wanted = quality;
        show(own.find((pair) => String(pair.quality) === quality));
      });
      show(chosen);
    }
    select.addEventListener("change", update);
    update();
  }

  return { start };
})();

// A row of radio buttons in a fieldset.
function segments(fieldset, values, chosen, act, labels = {}) {
  for (const label of fieldset.querySelectorAll("label")) label.remove();
  for (const value of values) {
    const label = document.createElement("label"), input = document.createElement("input");
    const text = document.createElement("span");
    Object.assign(input, { type: "radio", name: fieldset.id, value, checked: value === chosen });
    text.textContent = labels[value] ?? value;
    input.addEventListener("change", () => act(value));
    label.append(input, text);
    fieldset.append(label);
  }
}
