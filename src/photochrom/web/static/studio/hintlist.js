// The hints of the photo as a list: what each says, how far it reaches, and a way to be rid of it.

import { strengthWords, reachWords } from "./dials.js";
import { css, nameOf } from "./lab.js";

/** Dispatches "select" {id, byKey} and "delete" {id}. */
export class HintList extends EventTarget {
  constructor(box) {
    super();
    this.box = box;
    this.title = box.querySelector("h3");
    this.list = box.querySelector("ul");
  }

  show(hints, selected) {
    this.box.hidden = hints.length === 0;
    this.title.textContent = hints.length === 1 ? "Your hint" : `Your ${hints.length} hints`;
    const old = new Map([...this.list.children].map((item) => [item.dataset.id, item]));
    hints.forEach((hint, index) => {
      const item = old.get(hint.id) ?? this.#item(hint.id);
      old.delete(hint.id);
      if (this.list.children[index] !== item) this.list.insertBefore(item, this.list.children[index] ?? null);
      this.#update(item, hint, index, hint.id === selected);
    });
    const focused = [...old.values()].some((item) => item.contains(document.activeElement));
    for (const item of old.values()) item.remove();
    if (focused) (this.list.querySelector("button") ?? document.getElementById("canvas")).focus({ preventScroll: true });
  }

  #item(id) {
    const item = document.createElement("li");
    item.dataset.id = id;
    const button = document.createElement("button");
    button.type = "button";
    const words = document.createElement("span");
    words.append(document.createElement("b"), document.createElement("small"));
    button.append(document.createElement("i"), words);
    button.addEventListener("click", (event) => this.#tell("select", { id, byKey: event.detail === 0 }));
    const away = document.createElement("button");
    away.type = "button";
    away.className = "icon small";
    away.textContent = "×";
    away.addEventListener("click", () => this.#tell("delete", { id }));
    item.append(button, away);
    return item;
  }

  #update(item, hint, index, selected) {
    const [button, away] = item.children;
    const color = hint.gray ? "gray" : nameOf(hint.color);
    const kind = hint.region ? ", an area" : hint.stroke ? ", a stroke" : "";
    button.querySelector("i").style.background = css(hint.color);
    button.querySelector("b").textContent = `${index + 1}. ${color}${kind}`;
    const reach = hint.region ? "its outline" : reachWords(hint.reach ?? 1);
    button.querySelector("small").textContent = `Reach: ${reach} · Strength: ${strengthWords(hint.strength ?? 1)}`;
    if (selected) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
    away.setAttribute("aria-label", `Remove hint ${index + 1}: ${color}`);
    away.title = "Remove";
  }

  #tell(type, detail) { this.dispatchEvent(new CustomEvent(type, { detail })); }
}
