// The photos that are open, as a row of thumbnails.

const LINE = 20; // pixels
const STATES = { waiting: "", sending: "sending", coloring: "coloring", ready: "", failed: "failed" };

export class Tray extends EventTarget {
  constructor(nav) {
    super();
    this.list = nav.querySelector("ul");
    nav.querySelector("#add").addEventListener("click", () => this.dispatchEvent(new Event("add")));
    nav.addEventListener("wheel", (event) => this.#roll(nav, event), { passive: false });
  }

  show(photos, current) {
    const old = new Map([...this.list.children].map((item) => [item.dataset.key, item]));
    photos.forEach((photo, index) => {
      const item = old.get(photo.key) ?? this.#item(photo);
      old.delete(photo.key);
      if (this.list.children[index] !== item) this.list.insertBefore(item, this.list.children[index] ?? null);
      this.#update(item, photo, photo === current);
    });
    for (const item of old.values()) item.remove();
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
    const button = document.createElement("button");
    button.type = "button";
    button.title = photo.name;
    const image = new Image();
    image.alt = "";
    const name = document.createElement("span");
    name.className = "unseen";
    const state = document.createElement("small");
    button.append(image, name, state);
    button.addEventListener("click", () => {
      this.dispatchEvent(new CustomEvent("choose", { detail: { photo } }));
    });
    item.append(button);
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
}
