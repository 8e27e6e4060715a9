// One photo of the tray: its file, what the service knows of it, and what was decided about it.

import * as service from "./service.js";
import * as shelf from "./shelf.js";
import { History, START, checked, newId } from "./work.js";

export class Photo extends EventTarget {
  /** state is "waiting", "sending", "coloring", "ready" or "failed". */
  constructor(name, { key = newId(), work = START, history, info = null, thumb = "" } = {}) {
    super();
    this.name = name;
    this.key = key;
    this.history = history ?? new History([work]);
    this.info = info;
    this.thumb = thumb;
    this.state = "waiting";
    this.sent = 0;
    this.error = "";
    this.hopeless = false;
    this.predictions = new Map();
    this.opening = null;
  }

  get work() { return this.history.now; }

  // --- the service --------------------------------------------------------------------------------

  #enter(state) {
    this.state = state;
    this.dispatchEvent(new Event("change"));
  }

  /** Has the service know the photo, sending it (again) if need be; rejects with an error in words. */
  open() {
    this.opening ??= this.#open().catch((error) => {
      this.error = error.message;
      this.hopeless = error.status >= 400 && error.status < 429; // the file itself is refused
      this.#enter("failed");
      throw error;
    }).finally(() => { this.opening = null; });
    return this.opening;
  }

  async #open() {
    if (this.state === "ready") return;
    if (this.info) {
      try {
        this.info = await service.describe(this.info.photo);
        return this.#enter("ready");
      } catch (error) {
        if (!error.forgotten) throw error;
      }
    }
    const file = await this.file();
    if (!file) {
      throw new Error("It is not kept here any more. Open it again from your disk.");
    }
    this.sent = 0;
    this.#enter("sending");
    this.info = await service.upload(file, (share) => {
      this.sent = share;
      this.#enter(share < 1 ? "sending" : "coloring");
    });
    this.predictions.clear();
    this.#enter("ready");
  }

  /** The service may have forgotten it: it is asked before anything else is. */
  doubt() {
    if (this.opening) return;
    this.state = "waiting";
    this.predictions.clear();
  }

  /** The result of act(), sending the photo again where the service has forgotten it. */
  async with(act) {
    await this.open();
    try {
      return await act();
    } catch (error) {
      if (!error.forgotten) throw error;
      // The photo itself, or only what was made of it with these hints: both are asked for anew.
      this.doubt();
      await this.open();
      return act();
    }
  }

  /** The prediction that follows these hints. */
  predict(hints) {
    if (hints.length === 0) return this.with(async () => this.info.prediction);
    const name = JSON.stringify(hints.map(({ x, y, color }) => [x, y, color]));
    return this.with(async () => {
      if (!this.predictions.has(name)) {
        this.predictions.set(name, await service.predict(this.info.photo, hints));
      }
      return this.predictions.get(name);
    });
  }

  // --- the browser --------------------------------------------------------------------------------

  /** The file as it came. One too large for the browser's keeping lives as long as the page. */
  async file() { return this.kept ?? shelf.fileOf(this.key); }

  async keep(file) {
    this.kept = file;
    if (await shelf.keepFile(this.key, file)) this.kept = undefined;
    return this.kept === undefined;
  }

  async forget() {
    this.kept = undefined;
    await shelf.dropFile(this.key);
    if (this.info) await service.forget(this.info.photo).catch(() => {});
  }

  toJSON() {
    const { name, key, info, thumb, history: { states, at } } = this;
    return { name, key, info, thumb, states: states.slice(-50), at: at - Math.max(0, states.length - 50) };
  }

  static from(saved) {
    const states = (saved.states ?? []).map(checked).filter(Boolean);
    const at = Math.min(Math.max(saved.at ?? 0, 0), states.length - 1);
    const history = states.length ? new History(states, at) : undefined;
    return new Photo(String(saved.name), { ...saved, history });
  }
}
