// What lies on the photo and can be taken hold of: the hints, and the spots where a click helps.

import { css, nameOf } from "./lab.js";

const EDGE = 13; // CSS pixels about a marker
const FAR = 4; // CSS pixels after which a press is a drag

export class Markers extends EventTarget {
  constructor(viewer, hints, spots) {
    super();
    Object.assign(this, { viewer, hints, spots });
    this.selected = null;
    viewer.addEventListener("view", () => this.place());
  }

  // --- hints --------------------------------------------------------------------------------------

  /** Shows these hints; the buttons of those that stay keep the focus. */
  show(hints, selected) {
    this.selected = selected;
    const old = new Map([...this.hints.children].map((button) => [button.dataset.id, button]));
    const unused = new Set(this.hints.children);
    hints.forEach((hint, index) => {
      const button = old.get(hint.id) ?? this.#button(hint.id);
      old.delete(hint.id);
      unused.delete(button);
      button.place = { x: hint.x, y: hint.y };
      const what = hint.gray ? "gray" : nameOf(hint.color);
      button.setAttribute("aria-label", `Hint ${index + 1}: ${what}`);
      button.setAttribute("aria-pressed", String(hint.id === selected));
      button.querySelector("i").style.background = css(hint.color);
      if (this.hints.children[index] !== button) {
        this.hints.insertBefore(button, this.hints.children[index] ?? null);
      }
    });
    const focused = unused.has(document.activeElement);
    for (const button of unused) button.remove();
    if (focused) this.viewer.canvas.focus({ preventScroll: true });
    this.place();
  }

  /** The spot that is looked at without being a hint, or null. */
  showChosen(place) {
    let ring = this.spots.querySelector(".chosen");
    if (!place) return ring?.remove();
    if (!ring) {
      ring = document.createElement("span");
      ring.className = "chosen";
      this.spots.append(ring);
    }
    ring.place = place;
    this.place();
  }

  place() {
    for (const marker of [...this.hints.children, ...this.spots.children]) {
      if (!this.viewer.photo) continue;
      const { x, y } = this.viewer.toScreen(marker.place);
      const { clientWidth, clientHeight } = this.viewer.stage;
      marker.hidden = x < 0 || y < 0 || x > clientWidth || y > clientHeight;
      // One at the very edge is drawn whole.
      const inside = (at, size) => Math.min(Math.max(at, EDGE), size - EDGE);
      marker.style.transform = `translate(${inside(x, clientWidth)}px, ${inside(y, clientHeight)}px)`;
    }
  }

  #button(id) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "hint";
    button.dataset.id = id;
    button.append(document.createElement("i"));
    button.addEventListener("pointerdown", (event) => this.#drag(button, event));
    button.addEventListener("click", (event) => {
      if (button.dragged) button.dragged = false;
      else this.#tell("select", { id, byKey: event.detail === 0 });
    });
    button.addEventListener("keydown", (event) => this.#key(button, event));
    button.addEventListener("keyup", () => this.#moved(button));
    button.addEventListener("blur", () => this.#moved(button));
    return button;
  }

  #drag(button, down) {
    if (down.button !== 0) return;
    button.setPointerCapture(down.pointerId);
    const from = this.viewer.toScreen(button.place);
    let to = null;
    const move = (event) => {
      const [dx, dy] = [event.clientX - down.clientX, event.clientY - down.clientY];
      if (!to && Math.hypot(dx, dy) <= FAR) return;
      to = this.viewer.clamped(this.viewer.toPhoto({ x: from.x + dx, y: from.y + dy }));
      button.place = to;
      button.dragged = true;
      this.place();
    };
    button.addEventListener("pointermove", move);
    button.addEventListener("lostpointercapture", () => {
      button.removeEventListener("pointermove", move);
      if (to) this.#tell("move", { id: button.dataset.id, ...to });
    }, { once: true });
  }

  #key(button, event) {
    const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (event.key in ways && !event.altKey && !event.ctrlKey && !event.metaKey) {
      const pixels = (event.shiftKey ? 40 : 8) / this.viewer.scale;
      const [dx, dy] = ways[event.key];
      const { x, y } = button.place;
      button.place = this.viewer.clamped({ x: x + pixels * dx, y: y + pixels * dy });
      button.stepped = true;
      this.place();
    } else if (event.key === "Delete" || event.key === "Backspace") {
      this.#tell("delete", { id: button.dataset.id });
    } else return;
    event.preventDefault();
  }

  // Once the key is let go: each of its repetitions would be a step to undo and a run of the network.
  #moved(button) {
    if (!button.stepped) return;
    button.stepped = false;
    this.#tell("move", { id: button.dataset.id, ...button.place });
  }

  // --- where a click helps ------------------------------------------------------------------------

  /** Shows these spots, [{x, y, bits}, ...], best first. */
  suggest(spots) {
    const focused = document.activeElement?.matches(".suggestion");
    for (const old of this.spots.querySelectorAll("button")) old.remove();
    if (focused) this.viewer.canvas.focus({ preventScroll: true });
    spots.forEach((spot, index) => {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "suggestion";
      button.textContent = index + 1;
      button.place = { x: spot.x, y: spot.y };
      button.setAttribute("aria-label", `Weak spot ${index + 1}: show its likely colors`);
      button.addEventListener("click", (event) => {
        this.#tell("suggestion", { x: spot.x, y: spot.y, byKey: event.detail === 0 });
      });
      this.spots.append(button);
    });
    this.place();
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
