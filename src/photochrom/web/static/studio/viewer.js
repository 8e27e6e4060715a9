// The photo on the screen: as it was to the left of the divider, colored to its right; zoom and pan by
// mouse, touch and keyboard; a crosshair for whoever has no pointer.
//
// Places are pixels of the photo. `scale` is in CSS pixels of the screen for each of them.

import { Layer } from "./layer.js";
import { Pencil } from "./pencil.js";

const SLACK = { mouse: 4, touch: 10, pen: 8 }; // CSS pixels that a click may move
const CLOSEST = 8; // device pixels for a pixel of the photo
const STEP = 1.25;
const FADE = 450; // milliseconds in which colors come in
const calm = matchMedia("(prefers-reduced-motion: reduce)");

export class Viewer extends EventTarget {
  #pointers = new Map();
  #gesture = null;
  #drawing = 0;
  #sweep = 0;
  #fading = 0;
  #faded = 1; // share of the colors that is seen
  #pencil = new Pencil();

  constructor(stage) {
    super();
    this.stage = stage;
    this.canvas = stage.querySelector("#canvas");
    this.divider = stage.querySelector("#divider");
    this.crosshair = stage.querySelector("#crosshair");
    this.context = this.canvas.getContext("2d");
    const redraw = () => this.redraw();
    const failed = (error) => this.dispatchEvent(new CustomEvent("failed", { detail: { error } }));
    this.before = new Layer(redraw, failed);
    this.after = new Layer(redraw, failed);
    this.waiting = false; // for another prediction, which will replace the picture
    this.veil = null; // what lies over the photo, as a canvas
    this.photo = null; // {width, height}
    this.comparing = true;
    this.share = 0.5; // of what is seen of the photo, left of the divider
    this.mark = null; // the place of the crosshair
    this.fitted = true;
    new ResizeObserver(() => this.#resize()).observe(stage);
    this.#listen();
  }

  // --- what is seen -------------------------------------------------------------------------------

  /** Shows another photo, {width, height}, as a whole. */
  open(photo) {
    this.photo = photo;
    this.mark = null;
    this.crosshair.hidden = true;
    this.fit();
  }

  close() {
    this.photo = null;
    this.veil = null;
    this.before.clear();
    this.after.clear();
    this.redraw();
  }

  get density() { return window.devicePixelRatio || 1; }
  get room() { return Math.min(24, Math.max(8, this.stage.clientWidth / 50)); }

  get fitScale() {
    const { clientWidth, clientHeight } = this.stage;
    const { width, height } = this.photo;
    const fit = Math.min(
      (clientWidth - 2 * this.room) / width, (clientHeight - 2 * this.room) / height,
    );
    return Math.max(1e-3, Math.min(fit, 2)); // a very small photo stays small
  }

  /** The whole photo. */
  fit() {
    if (!this.photo) return;
    this.fitted = true;
    this.scale = this.fitScale;
    this.center = { x: this.photo.width / 2, y: this.photo.height / 2 };
    this.#moved();
  }

  /** One device pixel for each pixel of the photo, around a place. */
  actual(around = this.mark ?? this.center) {
    this.zoom(1 / this.density / this.scale, this.toScreen(around));
  }

  /** Zooms by a factor; the place under a point of the stage stays there. */
  zoom(factor, point = { x: this.stage.clientWidth / 2, y: this.stage.clientHeight / 2 }) {
    if (!this.photo) return;
    const place = this.toPhoto(point);
    const fit = this.fitScale;
    const actual = 1 / this.density;
    const [least, most] = [Math.min(fit, actual), Math.max(fit, CLOSEST * actual)];
    this.scale = Math.min(Math.max(this.scale * factor, least), most);
    this.fitted = Math.abs(this.scale / fit - 1) < 1e-3;
    this.center.x = place.x - (point.x - this.stage.clientWidth / 2) / this.scale;
    this.center.y = place.y - (point.y - this.stage.clientHeight / 2) / this.scale;
    this.#moved();
  }

  pan(dx, dy) {
    this.center.x -= dx / this.scale;
    this.center.y -= dy / this.scale;
    this.#moved();
  }

  toScreen({ x, y }) {
    return {
      x: this.stage.clientWidth / 2 + (x - this.center.x) * this.scale,
      y: this.stage.clientHeight / 2 + (y - this.center.y) * this.scale,
    };
  }

  toPhoto({ x, y }) {
    return {
      x: this.center.x + (x - this.stage.clientWidth / 2) / this.scale,
      y: this.center.y + (y - this.stage.clientHeight / 2) / this.scale,
    };
  }

  contains({ x, y }) {
    return this.photo && x >= 0 && y >= 0 && x < this.photo.width && y < this.photo.height;
  }

  /** The nearest place of the photo. */
  clamped({ x, y }) {
    const inside = (value, size) => Math.min(Math.max(value, 0), size - 0.01);
    return { x: inside(x, this.photo.width), y: inside(y, this.photo.height) };
  }

  /** What is seen of the photo, in CSS pixels of the stage. */
  get seen() {
    const [from, to] = [this.toScreen({ x: 0, y: 0 }), this.toScreen({ x: this.photo.width, y: this.photo.height })];
    return {
      left: Math.max(0, from.x), right: Math.min(this.stage.clientWidth, to.x),
      top: Math.max(0, from.y), bottom: Math.min(this.stage.clientHeight, to.y),
    };
  }

  #resize() {
    if (!this.photo) return;
    if (this.fitted) this.fit();
    else this.#moved();
  }

  #moved() {
    const hold = (center, size, screen) => {
      const half = Math.min(size / 2, screen / 2 / this.scale);
      return Math.min(Math.max(center, half), size - half);
    };
    this.center.x = hold(this.center.x, this.photo.width, this.stage.clientWidth);
    this.center.y = hold(this.center.y, this.photo.height, this.stage.clientHeight);
    this.redraw();
    this.dispatchEvent(new Event("view"));
  }

  // --- drawing ------------------------------------------------------------------------------------

  redraw() {
    this.stage.setAttribute("aria-busy", "true");
    if (this.#drawing) return;
    this.#drawing = requestAnimationFrame(() => {
      this.#drawing = 0;
      this.#draw();
      const seen = this.comparing ? [this.before, this.after] : [this.after];
      const busy = this.photo && (this.waiting || !seen.every((layer) => layer.complete));
      this.stage.setAttribute("aria-busy", String(Boolean(busy)));
    });
  }

  #draw() {
    const { canvas, context, density, stage } = this;
    const columns = Math.round(stage.clientWidth * density);
    const rows = Math.round(stage.clientHeight * density);
    if (canvas.width !== columns || canvas.height !== rows) {
      [canvas.width, canvas.height] = [columns, rows];
    }
    context.clearRect(0, 0, columns, rows);
    this.divider.hidden = !this.photo || !this.comparing || this.after.whole === null;
    if (!this.photo) return;
    const scale = this.scale * density;
    const view = {
      scale, columns, rows, photo: this.photo,
      left: Math.round(columns / 2 - this.center.x * scale),
      top: Math.round(rows / 2 - this.center.y * scale),
    };
    const wanted = Math.max(this.photo.width, this.photo.height) * this.fitScale * density;
    this.after.want(wanted);
    const seen = this.seen;
    const line = this.comparing ? seen.left + this.share * (seen.right - seen.left) : seen.left;
    const alone = this.after.whole === null || this.#faded < 1; // no colors hide it yet
    if (this.comparing || alone) {
      this.before.want(wanted);
      this.#part(view, 0, alone ? columns : line * density, this.before);
    }
    context.globalAlpha = this.#faded;
    this.#part(view, line * density, columns, this.after);
    context.globalAlpha = 1;
    if (this.veil) {
      const [x, y] = [view.left, view.top];
      context.imageSmoothingEnabled = true;
      context.drawImage(
        this.veil, x, y, Math.round(x + this.photo.width * scale) - x,
        Math.round(y + this.photo.height * scale) - y,
      );
    }
    this.#pencil.draw(context, (place) => {
      const { x, y } = this.toScreen(place);
      return { x: x * density, y: y * density };
    }, density);
    this.divider.style.left = `${line}px`;
    this.divider.style.top = `${seen.top}px`;
    this.divider.style.height = `${Math.max(0, seen.bottom - seen.top)}px`;
    this.#placeCrosshair();
  }

  #part(view, from, to, layer) {
    if (to <= from) return;
    const { context } = this;
    context.save();
    context.beginPath();
    context.rect(Math.round(from), 0, Math.round(to) - Math.round(from), view.rows);
    context.clip();
    layer.draw(context, view);
    context.restore();
  }

  #placeCrosshair() {
    if (!this.mark) return;
    const { x, y } = this.toScreen(this.mark);
    this.crosshair.style.transform = `translate(${x}px, ${y}px)`;
  }

  /** What lies over the photo, see `Pencil`. */
  outline(shapes) {
    this.#pencil.shapes = shapes;
    this.redraw();
  }

  /** What a hand does to the photo: "spot" presses it, "brush", "lasso" and "box" draw on it. */
  hold(tool) {
    this.#pencil.tool = tool;
    this.canvas.classList.toggle("drawing", tool !== "spot");
  }

  /** [r, g, b] of what is seen at a place. */
  colorAt(place) {
    const { x, y } = this.toScreen(place);
    const { data } = this.context.getImageData(Math.round(x * this.density) - 1, Math.round(y * this.density) - 1, 3, 3);
    return [0, 1, 2].map((channel) => {
      let sum = 0;
      for (let at = channel; at < data.length; at += 4) sum += data[at];
      return Math.round(sum / 9);
    });
  }

  // --- before and after ---------------------------------------------------------------------------

  setComparing(on) {
    this.comparing = on;
    this.redraw();
  }

  setShare(share) {
    this.share = Math.min(Math.max(share, 0), 1);
    const percent = Math.round(100 * this.share);
    this.divider.setAttribute("aria-valuenow", percent);
    this.divider.setAttribute("aria-valuetext", `${percent} % before, ${100 - percent} % after`);
    this.dispatchEvent(new Event("share"));
    this.redraw();
  }

  /** Moves the divider there, so that it can be followed by eye. */
  sweep(to, from = this.share, ms = 700) {
    cancelAnimationFrame(this.#sweep);
    if (calm.matches) return this.setShare(to);
    const began = performance.now();
    const frame = (now) => {
      const t = Math.min(1, Math.max(0, (now - began) / ms));
      this.setShare(from + (to - from) * (1 - (1 - t) ** 3));
      if (t < 1) this.#sweep = requestAnimationFrame(frame);
      else this.dispatchEvent(new Event("divided"));
    };
    this.setShare(from);
    this.#sweep = requestAnimationFrame(frame);
  }

  /** Has the colors, which have just come, fade in over the gray. */
  fadeIn() {
    cancelAnimationFrame(this.#fading);
    this.#faded = 1;
    if (calm.matches) return;
    const began = performance.now();
    const frame = (now) => {
      this.#faded = Math.min(1, Math.max(0, (now - began) / FADE));
      this.redraw();
      if (this.#faded < 1) this.#fading = requestAnimationFrame(frame);
    };
    frame(began);
  }

  /** Uncovers a place, where what is being changed could not be seen. */
  uncover(place) {
    if (!this.comparing) return;
    const { left, right } = this.seen;
    const share = (this.toScreen(place).x - left) / (right - left);
    if (share < this.share + 0.04) this.sweep(share > 0.2 ? share - 0.15 : 0, this.share, 300);
  }

  // --- hands --------------------------------------------------------------------------------------

  #point(event) {
    const box = this.stage.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  #listen() {
    const { canvas, divider } = this;
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    canvas.addEventListener("pointerup", (event) => this.#up(event));
    canvas.addEventListener("pointercancel", (event) => {
      this.#pointers.delete(event.pointerId);
      this.#pencil.drop();
    });
    canvas.addEventListener("keydown", (event) => this.#key(event));
    canvas.addEventListener("blur", () => { this.crosshair.hidden = true; });
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      // A pinch on a touchpad comes as a wheel with Ctrl, in smaller steps.
      const lines = event.deltaMode === 1 ? 20 * event.deltaY : event.deltaY;
      const speed = event.ctrlKey ? 0.01 : 0.002;
      if (this.photo) this.zoom(Math.exp(-speed * Math.max(-200, Math.min(200, lines))), this.#point(event));
    }, { passive: false });

    divider.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      event.preventDefault();
      divider.focus({ preventScroll: true });
      divider.setPointerCapture(event.pointerId);
      cancelAnimationFrame(this.#sweep);
      const { left, right } = this.seen;
      const off = this.#point(event).x - (left + this.share * (right - left));
      const move = (moved) => {
        const seen = this.seen;
        this.setShare((this.#point(moved).x - off - seen.left) / (seen.right - seen.left));
      };
      divider.addEventListener("pointermove", move);
      divider.addEventListener("lostpointercapture", () => {
        divider.removeEventListener("pointermove", move);
        this.dispatchEvent(new Event("divided"));
      }, { once: true });
    });
    divider.addEventListener("keydown", (event) => {
      const step = event.shiftKey ? 0.1 : 0.02;
      const to = {
        ArrowLeft: this.share - step, ArrowDown: this.share - step,
        ArrowRight: this.share + step, ArrowUp: this.share + step,
        PageDown: this.share - 0.1, PageUp: this.share + 0.1, Home: 0, End: 1,
      }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      cancelAnimationFrame(this.#sweep);
      this.setShare(to);
      this.dispatchEvent(new Event("divided"));
    });
  }

  #down(event) {
    if (!this.photo || (event.button !== 0 && event.button !== 1)) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.#pointers.set(event.pointerId, this.#point(event));
    if (this.#pointers.size === 1) {
      this.#gesture = { start: this.#point(event), moved: event.button === 1, pinched: false };
      const place = this.toPhoto(this.#point(event));
      if (event.button === 0 && this.contains(place)) this.#pencil.begin(place);
    } else if (this.#pointers.size === 2) {
      this.#pencil.drop();
      this.#gesture = { ...this.#gesture, moved: true, pinched: true };
    }
  }

  #move(event) {
    const last = this.#pointers.get(event.pointerId);
    if (!last || !this.photo) return;
    const now = this.#point(event);
    const slack = SLACK[event.pointerType] ?? SLACK.mouse;
    const { start } = this.#gesture;
    if (!this.#gesture.moved && Math.hypot(now.x - start.x, now.y - start.y) <= slack) return;
    this.#gesture.moved = true;
    const before = [...this.#pointers.values()];
    this.#pointers.set(event.pointerId, now);
    const after = [...this.#pointers.values()];
    if (this.#pencil.drawing) {
      this.#pencil.extend(this.clamped(this.toPhoto(now)), this.scale);
      this.redraw();
    } else if (after.length === 1) {
      this.canvas.classList.add("moving");
      this.pan(now.x - last.x, now.y - last.y);
    } else if (after.length === 2) {
      const span = ([one, other]) => Math.max(1, Math.hypot(one.x - other.x, one.y - other.y));
      const middle = ([one, other]) => ({ x: (one.x + other.x) / 2, y: (one.y + other.y) / 2 });
      const [from, to] = [middle(before), middle(after)];
      this.pan(to.x - from.x, to.y - from.y);
      this.zoom(span(after) / span(before), to);
    }
  }

  #up(event) {
    if (!this.#pointers.delete(event.pointerId)) return;
    if (this.#pointers.size) return;
    this.canvas.classList.remove("moving");
    const place = this.photo && this.toPhoto(this.#point(event));
    const shape = this.#pencil.drawing ? this.#pencil.end(this.scale) : null;
    if (shape) return this.dispatchEvent(new CustomEvent("shape", { detail: shape }));
    if (this.#gesture.moved || !this.contains(place)) return;
    this.mark = place;
    this.crosshair.hidden = true;
    this.#choose(place, false);
  }

  #choose(place, byKey) {
    this.dispatchEvent(new CustomEvent("spot", { detail: { ...place, byKey } }));
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (/^[a-z]$/i.test(event.key)) {
      const letter = event.key.toLowerCase();
      if (!event.repeat) this.dispatchEvent(new CustomEvent("letter", { detail: { letter } }));
      return;
    }
    if (!this.photo) return;
    const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (event.key in ways) {
      const pixels = (event.shiftKey ? 60 : 12) / this.scale;
      const from = this.mark && this.contains(this.mark) ? this.mark : this.center;
      const moved = this.crosshair.hidden ? [0, 0] : ways[event.key];
      this.mark = this.clamped({ x: from.x + pixels * moved[0], y: from.y + pixels * moved[1] });
      this.crosshair.hidden = false;
      this.#follow();
      this.dispatchEvent(new Event("mark"));
    } else if (event.key === "Enter" || event.key === " ") {
      const place = this.mark && this.contains(this.mark) ? this.mark : this.center;
      this.#choose(this.clamped(place), true);
    } else if (event.key === "+" || event.key === "=") this.zoom(STEP);
    else if (event.key === "-") this.zoom(1 / STEP);
    else if (event.key === "0") this.fit();
    else if (event.key === "1") this.actual();
    else return;
    event.preventDefault();
  }

  /** Keeps the crosshair in view. */
  #follow() {
    const { x, y } = this.toScreen(this.mark);
    const beyond = (at, size) => (at < 20 ? 20 - at : at > size - 20 ? size - 20 - at : 0);
    this.pan(beyond(x, this.stage.clientWidth), beyond(y, this.stage.clientHeight));
  }
}
