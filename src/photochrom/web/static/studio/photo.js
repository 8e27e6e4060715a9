// One photo of the tray: its file, what the service knows of it, and what was decided about it.

import { between, checkedFrame } from "./frame.js";
import * as service from "./service.js";
import * as shelf from "./shelf.js";
import { History, START, checked, details, movedHint, newId } from "./work.js";

const STEPS = 50; // before the present one, that are kept

/** The history in a record, and how it is turned and cropped, to tell whether it is another's. */
const story = ({ states, at, frame = null }) => JSON.stringify([states, at, frame]);

export class Photo extends EventTarget {
  /** state is "waiting", "sending", "coloring", "ready" or "failed". */
  constructor(name, {
    key = newId(), work = START, frame = null, history, info = null, thumb = "", colored = false, hopeless = false,
    added = performance.timeOrigin + performance.now(), used = Date.now(), edition = null, file,
  } = {}) {
    super();
    this.name = name;
    this.key = key;
    this.history = history ?? new History([work]);
    this.frame = frame; // how it is turned and cropped, see frame.js
    this.info = info;
    this.thumb = thumb;
    this.colored = colored; // whether the thumbnail is
    this.added = added; // milliseconds since 1970, for their order
    this.used = used; // as well, when it was last on the desk
    this.left = 0; // hints that were left out, since it was last told
    this.lost = 0; // times in a row that the service did not answer
    this.revived = []; // when it was sent again by itself
    this.gone = new AbortController();
    this.kept = file; // while it is not on the shelf, where `save` puts it
    this.refused = false; // whether there was no room for it there
    this.saved = [];
    this.edition = edition; // of its record, the last that this tab knows
    this.shared = edition && story(this.record(STEPS)); // the history in that
    this.state = "waiting";
    this.sent = 0;
    this.error = "";
    this.hopeless = hopeless; // the file itself was refused
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
      if (error.away) this.lost++;
      this.fail(error);
      throw error;
    }).finally(() => { this.opening = null; });
    return this.opening;
  }

  fail({ message, retry }) {
    this.error = message;
    this.hopeless = retry === false;
    this.#enter("failed");
  }

  async #open() {
    if (this.state === "ready") return;
    if (this.info) {
      try {
        this.info = await service.describe(this.info.photo);
        return this.#arrived();
      } catch (error) {
        if (!error.forgotten) throw error;
      }
    }
    const file = await this.file();
    if (!file) {
      throw new Error("This photo is no longer stored in this browser. Open it again from your disk.");
    }
    this.sent = 0;
    this.#enter("sending");
    const info = await service.upload(file, (share) => {
      this.sent = share;
      this.#enter(share < 1 ? "sending" : "coloring");
    }, this.gone.signal, this.frame);
    if (this.gone.signal.aborted) {
      // It was all sent before it was put away, and nobody else knows of it there.
      await service.forget(info.photo).catch(() => {});
      throw new DOMException("put away", "AbortError");
    }
    this.info = info;
    this.predictions.clear();
    this.#arrived();
  }

  #arrived() {
    this.lost = 0;
    this.hopeless = false;
    const { width, height } = this.info;
    const fits = ({ x, y }) => x >= 0 && y >= 0 && x < width && y < height;
    const inside = (value, size) => Math.min(Math.max(value, 0), size - 0.01);
    const clip = (hint) => movedHint(hint, ({ x, y }) => ({ x: inside(x, width), y: inside(y, height) }));
    this.#change((hints) => hints.filter(fits));
    const { history } = this;
    history.states = history.states.map((state) => Object.freeze({ ...state, hints: state.hints.map(clip) }));
    this.#enter("ready");
  }

  /** Shows it turned and cropped like that, or with null as its file has it; the hints stay where they are in it. */
  reframe(frame) {
    const old = this.info;
    const to = between(this.frame, frame);
    const move = (hints) => hints.map((hint) => movedHint(hint, to));
    this.history.states = this.history.states.map((state) => Object.freeze({ ...state, hints: move(state.hints) }));
    Object.assign(this, { frame, info: null, state: "waiting", thumb: "", colored: false, fresh: true });
    this.predictions.clear();
    if (old) service.forget(old.photo).catch(() => {});
  }

  /** At most so many hints. */
  limit(most) { this.#change((hints) => hints.slice(0, most)); }

  #change(mend) {
    const { history } = this;
    const before = history.now.hints.length;
    if (history.states.every(({ hints }) => mend(hints).length === hints.length)) return;
    history.states = history.states.map((state) => Object.freeze({ ...state, hints: mend(state.hints) }));
    this.left += before - history.now.hints.length;
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
      // The photo itself, or only what was made of it with these hints: ask for both again.
      this.doubt();
      await this.open();
      return act();
    }
  }

  /** The prediction that follows these hints. */
  predict(hints) {
    if (hints.length === 0) return this.with(async () => this.info.prediction);
    const name = JSON.stringify(hints.map((hint) => [hint.x, hint.y, hint.color, details(hint)]));
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

  async forget() {
    this.gone.abort();
    await shelf.drop([this.key]);
    await this.leave();
  }

  /** Has the service forget it; what the browser keeps is another's affair. */
  async leave() {
    this.kept = undefined;
    this.gone.abort();
    if (this.info) await service.forget(this.info.photo).catch(() => {});
  }

  /** Keeps what has changed; false where this browser has no room for it. */
  save() {
    // Or each would take the one before for another tab's.
    return shelf.inTurn(() => this.#save());
  }

  async #save() {
    const { info, thumb, used, hopeless, frame, history: { states, at } } = this;
    const now = [info, thumb, used, hopeless, frame, states, at];
    if (this.gone.signal.aborted || now.every((value, index) => value === this.saved[index])) return true;
    // If there is no room for all, the file goes first, then the steps that led here.
    const ways = [[STEPS, null], [1, null]];
    if (this.kept && !this.refused) ways.unshift([STEPS, this.kept]);
    for (const [steps, file] of ways) {
      if (this.gone.signal.aborted) return true;
      const record = { ...this.record(steps), edition: newId() };
      const { kept, newer } = await shelf.keepPhoto(this.key, record, this.edition, file);
      if (newer) {
        this.take(newer);
        return this.#save();
      }
      if (file && kept) this.kept = undefined;
      else if (file) this.refused = true;
      if (kept) {
        const told = story(record);
        const changed = this.shared !== null && this.shared !== told;
        Object.assign(this, { saved: now, edition: record.edition, shared: told });
        if (changed) shelf.tell(this.key);
        return true;
      }
    }
    return false;
  }

  /** Catches up with what another tab has kept. */
  catchUp() {
    return shelf.inTurn(async () => {
      const newer = await shelf.photoOf(this.key);
      if (newer && newer.edition !== this.edition) this.take(newer);
    });
  }

  /**
   * Takes over what another tab has kept. A decision made here that is not kept yet becomes a step
   * on top of it, so that undo leads back to the other tab's.
   */
  take(newer) {
    const told = story(newer);
    const before = this.shared;
    const mine = before === story(this.record(STEPS)) ? null : this.work;
    Object.assign(this, { edition: newer.edition, shared: told });
    if (JSON.stringify(newer.frame ?? null) !== JSON.stringify(this.frame)) {
      Object.assign(this, { frame: checkedFrame(newer.frame), info: newer.info, thumb: newer.thumb });
      this.doubt();
    }
    if (told === before) return; // only its thumbnail is another, or when it was looked at
    this.history = Photo.from(newer).history ?? new History();
    const apart = mine !== null && JSON.stringify(mine) !== JSON.stringify(this.work);
    if (apart) this.history.push(mine);
    this.dispatchEvent(new CustomEvent("taken", { detail: { apart } }));
  }

  /** What is kept of it: of the steps the last before the present one, and all that can be redone. */
  record(steps) {
    const { name, key, frame, info, thumb, colored, hopeless, added, used, history: { states, at } } = this;
    const from = Math.max(0, at + 1 - steps);
    const kept = states.slice(from, steps === 1 ? at + 1 : undefined);
    return { name, key, frame, info, thumb, colored, hopeless, added, used, states: kept, at: at - from };
  }

  static from(saved) {
    const states = (saved.states ?? []).map(checked).filter(Boolean);
    const at = Math.min(Math.max(saved.at ?? 0, 0), states.length - 1);
    const history = states.length ? new History(states, at) : undefined;
    return new Photo(String(saved.name), { ...saved, frame: checkedFrame(saved.frame), history });
  }
}
