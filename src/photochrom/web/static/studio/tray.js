// The photos that are open, as a row of thumbnails; and which of them are selected.

const LINE = 20; // pixels
const STATES = { waiting: "", sending: "sending", coloring: "coloring", ready: "", failed: "failed" };

/**
 * Dispatches "add"; "choose" {photo}; "select" {photos, on}: those that are selected from now on;
 * "remove" {photos}.
 */
export class Tray extends EventTarget {
  constructor(nav) {
    super();
    this.nav = nav;
    this.list = nav.querySelector("ul");
    this.many = nav.querySelector("#select");
    this.photos = [];
    this.selected = new Set();
    this.selecting = false;
    this.last = null; // the photo that was selected last: Shift selects from there on
    nav.querySelector("#add").addEventListener("click", () => this.dispatchEvent(new Event("add")));
    this.many.addEventListener("click", () => this.#select([], !this.selecting));
    nav.addEventListener("wheel", (event) => this.#roll(nav, event), { passive: false });
    this.list.addEventListener("keydown", (event) => this.#key(event));
  }

  show(photos, current) {
    this.photos = photos;
    this.many.hidden = photos.length < 2;
    const old = new Map([...this.list.children].map((item) => [item.dataset.key, item]));
    photos.forEach((photo, index) => {
      const item = old.get(photo.key) ?? this.#item(photo);
      old.delete(photo.key);
      if (this.list.children[index] !== item) this.list.insertBefore(item, this.list.children[index] ?? null);
      this.#update(item, photo, photo === current);
    });
    for (const item of old.values()) item.remove();
  }

  /** Shows which photos are selected, and whether a click selects. */
  mark(selected, selecting) {
    Object.assign(this, { selected, selecting });
    this.nav.classList.toggle("selecting", selecting);
    this.many.setAttribute("aria-pressed", String(selecting));
    for (const item of this.list.children) this.#mark(item);
  }

  #mark(item) {
    const on = this.selected.has(item.photo);
    item.querySelector(".pick").setAttribute("aria-checked", String(on));
    item.querySelector(".photo").setAttribute("aria-description", on ? "selected" : "");
  }

  /** Where the photos lie in one row, a wheel moves along it. */
  #roll(nav, event) {
    const along = nav.scrollWidth > nav.clientWidth && nav.scrollHeight <= nav.clientHeight;
    if (!along || event.ctrlKey || event.deltaX !== 0) return;
    event.preventDefault();
    nav.scrollLeft += event.deltaMode === WheelEvent.DOM_DELTA_LINE ? LINE * event.deltaY : event.deltaY;
  }

  #item(photo) {
    const item = document.createElement("li");
    item.dataset.key = photo.key;
    item.photo = photo;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "photo";
    button.title = photo.name;
    const image = new Image();
    image.alt = "";
    const name = document.createElement("span");
    const state = document.createElement("small");
    button.append(image, state, name);
    button.addEventListener("click", (event) => {
      if (event.shiftKey) this.#to(photo);
      else if (this.selecting || event.ctrlKey || event.metaKey) this.#toggle(photo);
      else this.#tell("choose", { photo });
    });
    // The keyboard has Ctrl+Space and Delete for these: a hundred photos are a hundred stops, not three hundred.
    const [pick, away] = ["pick", "away"].map((kind) => {
      const small = document.createElement("button");
      small.type = "button";
      small.className = kind;
      small.tabIndex = -1;
      return small;
    });
    pick.setAttribute("role", "checkbox");
    pick.setAttribute("aria-label", `Select ${photo.name}`);
    pick.addEventListener("click", (event) => (event.shiftKey ? this.#to(photo) : this.#toggle(photo)));
    away.setAttribute("aria-label", `Remove ${photo.name}`);
    away.title = "Remove";
    away.addEventListener("click", () => this.#tell("remove", { photos: [photo] }));
    item.append(button, pick, away);
    this.#mark(item);
    return item;
  }

  #update(item, photo, current) {
    const button = item.firstChild;
    const image = button.querySelector("img");
    if (photo.thumb && image.src !== photo.thumb) image.src = photo.thumb;
    image.hidden = !photo.thumb;
    button.querySelector("span").textContent = photo.name;
    button.querySelector("small").textContent = STATES[photo.state];
    button.dataset.state = photo.state;
    if (current) {
      if (button.getAttribute("aria-current") !== "true") item.scrollIntoView?.({ block: "nearest", inline: "nearest" });
      button.setAttribute("aria-current", "true");
    } else button.removeAttribute("aria-current");
  }

  // --- selecting ----------------------------------------------------------------------------------

  #toggle(photo) {
    const next = new Set(this.selected);
    if (!next.delete(photo)) next.add(photo);
    this.last = photo;
    this.#select(next);
  }

  /** All from the photo that was selected last. */
  #to(photo) {
    const from = Math.max(0, this.photos.indexOf(this.last));
    const to = this.photos.indexOf(photo);
    const between = this.photos.slice(Math.min(from, to), Math.max(from, to) + 1);
    this.#select([...this.selected, ...between]);
  }

  #select(photos, on = true) { this.#tell("select", { photos: [...photos], on }); }

  #key(event) {
    const photo = event.target.closest("li")?.photo;
    if (!photo || event.altKey) return;
    const command = event.ctrlKey || event.metaKey;
    if (event.key === "Delete" || event.key === "Backspace") {
      this.#tell("remove", { photos: this.selected.has(photo) ? [...this.selected] : [photo] });
    } else if (command && event.key === " ") this.#toggle(photo);
    else if (command && event.key.toLowerCase() === "a") this.#select(this.photos);
    else if (event.key === "Escape" && this.selecting) this.#select([], false);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  #tell(type, detail) { this.dispatchEvent(new CustomEvent(type, { detail })); }
}
