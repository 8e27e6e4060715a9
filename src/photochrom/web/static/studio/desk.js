// The desk: which photos there are, which one lies on it, and what each decision means for it. It knows
// no element of the page: it tells what has become another, and whoever shows that listens.
//
// The network runs when a photo comes and when its hints change. All else (sliders, other colorings,
// the colors of a spot, where it is unsure, tiles of the full size) is answered by the service from
// the distribution that it keeps, so it can follow a hand.

import { Latest } from "./latest.js";
import * as service from "./service.js";

const DAY = 24 * 3600e3; // milliseconds
const REVIVALS = 3; // in REVIVED milliseconds, of a photo that the service keeps forgetting
const REVIVED = 1e4;

/**
 * What it dispatches, once its fields say the same:
 *
 * - "turn": another photo is on the desk, or none; then "await", where it has to be waited for, and
 *   "open", when the service has it
 * - "change": what is known or decided of a photo
 * - "photos": what is seen of those in the tray; "select": which of them are selected
 * - "picture": what is to be seen of the photo on the desk, as `seen` has it
 * - "predict", "predicted", "idle": the network is asked, has answered, and is at rest
 * - "pale" {photo}: a photo beside the desk is ready and has no thumbnail in its colors
 * - "choose" {byKey}: the spot that is looked at; "step": the hints about it may be others
 * - "pick": whether a color is being taken from a photo
 * - "show" {what}: one of `comparing`, `unsure`, `original`
 * - "arrive" {photo}: the service has the photo on the desk, or has lost it
 * - "learn": `limits`, `formats` and `address`
 * - "leave": a photo was put away from the desk; "back": the service answers again
 * - "keep": there is something new to keep; "taken" {photo, apart}: another tab had, see Photo
 * - "stale": an answer about what was there before
 * - "calm", "news" {words}, "problem" {words}: what a person should hear
 */
export class Desk extends EventTarget {
  photos = [];
  selected = new Set(); // of the photos, for what is done to many at once
  selecting = false; // whether a click on a photo selects it
  current = null; // the photo on the desk
  prediction = null; // the one of it that is shown
  held = null; // what a slider says that is being dragged and not decided yet, or null
  waiting = false; // for another prediction, which will replace the picture
  chosen = null; // {x, y, hint: id or null, stroke or region, palette}: the spot that is looked at
  picking = null; // {photo, place}: the spot that gets the color of the next place that is pressed, or null

  comparing = true;
  unsure = false; // whether its weak spots are shown
  original = false; // the colors that a file came with, instead of its lightness alone
  share = 0.5; // of the photo, left of the divider
  tab = "spot";

  limits = {};
  address = null; // that other machines open, if they can
  formats = []; // extensions of the files that are taken and made
  away = null; // a promise, while the service does not answer
  restored = Promise.resolve(); // what was kept is back

  #named = null; // the name that the service has for the current photo
  #predicting = new Latest();

  #tell(type, detail) { this.dispatchEvent(new CustomEvent(type, { detail })); }
  warn(words) { this.#tell("problem", { words }); }
  announce(words) { this.#tell("news", { words }); }

  get ready() { return this.current?.state === "ready"; }

  /** What is decided, and what is about to be. */
  get work() { return this.current && { ...this.current.work, ...this.held }; }

  /** What is to be seen of the current photo: {photo, prediction, work}, or null as long as it is not colored. */
  get seen() {
    if (!this.ready || this.prediction === null) return null;
    return { photo: this.current.info.photo, prediction: this.prediction, work: this.work };
  }

  // --- errors -------------------------------------------------------------------------------------

  failed(error) {
    if (error.name === "AbortError" || error.away) return undefined; // the banner says it
    const photo = this.current;
    if (!error.forgotten || !photo) return this.warn(error.message);
    // It is on its way already, or has arrived: what was asked for before tells nothing new.
    if (photo.opening) return undefined;
    if (photo.info && !error.concerns(photo.info.photo)) return this.#tell("stale");
    const lately = photo.revived.filter((at) => performance.now() - at < REVIVED);
    if (lately.length === REVIVALS) return photo.fail(error); // its card offers to try again
    photo.revived = [...lately, performance.now()];
    photo.doubt();
    return this.turnTo(photo);
  }

  /** Calls act(); what goes wrong is told. */
  async attempt(act) {
    try {
      return await act();
    } catch (error) {
      this.failed(error);
      return undefined;
    }
  }

  // --- photos -------------------------------------------------------------------------------------

  /** Puts back what was kept of another visit, before anything else comes. */
  putBack(photos) {
    this.photos = photos;
    for (const photo of photos) this.#follow(photo);
  }

  /** Asks the service what it takes. */
  learn() {
    return this.attempt(async () => {
      const { limits, formats, address = null } = await service.info();
      Object.assign(this, { limits, formats, address });
      this.#tell("learn");
    });
  }

  /** Adds a photo; resolves once it is kept over a reload, or cannot be. */
  add(photo) {
    if (this.limits.hints) photo.limit(this.limits.hints);
    this.#follow(photo);
    this.photos = [...this.photos, photo];
    const saved = photo.save();
    this.#tell("photos");
    return saved;
  }

  /** Puts a photo on the desk. */
  async turnTo(photo) {
    if (photo !== this.current) this.#put(photo);
    this.#tell("calm");
    if (Date.now() - photo.used > DAY) photo.used = Date.now();
    this.changed();
    this.keep();
    if (photo.state !== "ready") this.#tell("await");
    try {
      await photo.open();
    } catch {
      return; // the photo's own card tells
    }
    if (this.current !== photo) return;
    this.#tell("open");
    this.refresh();
  }

  /** Turns and crops the photo on the desk, see frame.js; what the service refuses is taken back. */
  async reframe(frame) {
    const photo = this.current;
    const before = photo.frame;
    if (!await photo.file()) return this.warn(`${photo.name} is no longer kept here. Open it again from your disk.`);
    const show = (to) => {
      photo.reframe(to);
      this.#put(photo);
      return this.turnTo(photo);
    };
    this.pick(null); // its place would be another
    await show(frame);
    if (photo.state !== "failed" || !photo.hopeless) return undefined;
    const why = photo.error;
    await show(before);
    return this.warn(`${photo.name}: ${why}`);
  }

  #put(photo) {
    this.current = photo;
    this.#named = this.prediction = this.held = null;
    this.choose(null);
    this.#tell("turn");
  }

  #putNothing() {
    this.#put(null);
    this.show("unsure", false);
    this.changed();
    this.keep();
    this.#tell("leave");
  }

  /** Puts photos away. */
  async remove(...gone) {
    const before = this.photos.slice(0, this.photos.indexOf(this.current));
    this.#drop(gone);
    const at = before.filter((photo) => !gone.includes(photo)).length;
    await Promise.all(gone.map((photo) => photo.forget()));
    if (!gone.includes(this.current)) return this.changed();
    const next = this.photos[Math.min(at, this.photos.length - 1)];
    if (!next) return this.#putNothing();
    this.turnTo(next);
    return this.#tell("leave");
  }

  #drop(gone) {
    this.photos = this.photos.filter((photo) => !gone.includes(photo));
    this.select([...this.selected].filter((photo) => !gone.includes(photo)), this.selecting && this.photos.length > 1);
  }

  /** Selects these photos and no others; without `on`, nothing is selected any more. */
  select(photos, on = true) {
    this.selecting = on;
    this.selected = new Set(on ? photos : []);
    this.#tell("select");
  }

  /** Puts all away; they are given to whoever has them forgotten. */
  empty() {
    const gone = this.photos;
    this.#drop(gone);
    this.#putNothing();
    return gone;
  }

  /** Somebody else has put photos away. */
  lose(gone) {
    this.#drop(gone);
    if (!gone.includes(this.current)) this.changed();
    else if (this.photos.length) this.turnTo(this.photos[0]);
    else this.#putNothing();
  }

  /** The service answers again: what it knew may be gone. */
  back() {
    // What makes it go away twice is not sent a third time: its own card offers that.
    for (const photo of this.photos) if (photo.lost < 2) photo.doubt();
    if (this.current && this.current.lost < 2) this.turnTo(this.current);
    else this.changed();
    this.#tell("back");
  }

  #follow(photo) {
    photo.addEventListener("change", () => this.#arrived(photo));
    photo.addEventListener("taken", ({ detail: { apart } }) => this.#tell("taken", { photo, apart }));
  }

  /** A photo has come to another state. */
  #arrived(photo) {
    const ready = photo.state === "ready";
    const here = photo === this.current;
    // It had to be sent again: what is shown of it has another name now.
    if (here && ready && this.#named !== photo.info.photo) {
      this.prediction = null;
      if (this.#named !== null) this.refresh();
      this.#named = photo.info.photo;
    }
    if (ready && photo.left) {
      const dropped = photo.left === 1 ? "1 hint was dropped, because it was outside the photo or over the limit."
        : `${photo.left} hints were dropped, because they were outside the photo or over the limit.`;
      this.warn(`${photo.name}: ${dropped}`);
      photo.left = 0;
    }
    if (here) {
      this.changed();
      this.#tell("arrive", { photo });
    } else {
      this.#tell("photos");
      if (ready && !photo.colored) this.#tell("pale", { photo });
    }
    if (ready || photo.state === "failed") this.keep();
  }

  // --- decisions ----------------------------------------------------------------------------------

  /** A step that can be undone. */
  decide(change, words) {
    this.held = null;
    this.current.history.push({ ...this.current.work, ...change });
    if (words) this.announce(words);
    this.refresh();
    this.keep();
  }

  /** The same decision for many photos: a step of each that can be undone. */
  decideFor(photos, change, words) {
    for (const photo of photos) {
      if (Object.keys(change).every((name) => photo.work[name] === change[name])) continue;
      if (photo === this.current) {
        this.decide(change);
        continue;
      }
      photo.history.push({ ...photo.work, ...change });
      photo.colored = false; // its thumbnail is, but not like that
      if (photo.state === "ready") this.#tell("pale", { photo });
    }
    this.announce(words);
    this.keep();
  }

  /** @param {"undo" | "redo"} way */
  step(way) {
    if (!this.current) return;
    const { history } = this.current;
    const before = history.at;
    history[way]();
    if (history.at === before) return;
    this.held = null;
    this.announce(way === "undo" ? "Undone." : "Redone.");
    this.refresh();
    this.#tell("step");
    this.keep();
  }

  /** Somebody else has decided about a photo; what a slider says that is being dragged stays on top of it. */
  takeOver(photo) {
    if (photo === this.current) {
      if (this.ready) this.refresh();
      else this.turnTo(photo);
      this.#tell("step");
    } else if (photo.state === "ready") {
      photo.colored = false; // its thumbnail is, but not with these hints
      this.#tell("pale", { photo });
    }
  }

  /** A slider is being dragged: {temperature} or {saturation}. */
  hold(change) {
    this.held = change;
    this.#tell("picture");
  }

  /** It was let go. */
  settle(change) {
    const { work } = this.current;
    if (Object.keys(change).some((name) => change[name] !== work[name])) return this.decide(change);
    this.held = null;
    return this.refresh();
  }

  /** Shows what is decided now, running the network if the hints are new. */
  refresh() {
    const photo = this.current;
    this.waiting = true;
    this.changed();
    this.#tell("picture");
    return this.attempt(() => this.#predicting.ask(async () => {
      if (photo !== this.current) return;
      this.#tell("predict");
      try {
        const found = await this.#predict(photo);
        if (photo !== this.current) return;
        this.prediction = found;
        this.waiting = this.#predicting.pending;
        this.#tell("picture");
        this.#tell("predicted");
      } finally {
        this.#tell("idle");
      }
    }));
  }

  /** The prediction that follows its hints, or where they cannot be followed the one without. */
  async #predict(photo) {
    try {
      return await photo.predict(photo.work.hints);
    } catch (error) {
      if (!error.unusable) throw error;
      if (photo === this.current) {
        this.warn(`${error.message} ${photo.name} is shown without its hints. Remove or move them.`);
      }
      return photo.info.prediction;
    }
  }

  // --- what is looked at --------------------------------------------------------------------------

  /** Looks at a spot of the photo, {x, y, hint}, or at none. */
  choose(place, byKey = false) {
    this.chosen = place;
    this.#tell("choose", { byKey });
  }

  /** Has the next place that is pressed give its color to the spot that is looked at; or, with null, no more. */
  pick(place) {
    this.picking = place && { photo: this.current, place };
    this.#tell("pick");
  }

  /** The hint of that name, if the photo on the desk has it and can be worked on. */
  hint(id) { return this.ready ? this.current.work.hints.find((hint) => hint.id === id) : undefined; }

  /** @param {"comparing" | "unsure" | "original"} what */
  show(what, on) {
    this[what] = on;
    this.#tell("show", { what });
  }

  /** What is known or decided of a photo is another now. */
  changed() {
    const hint = this.chosen?.hint;
    if (hint && !this.current?.work.hints.some(({ id }) => id === hint)) this.choose(null);
    this.#tell("change");
  }

  /** A photo has another thumbnail. */
  depicted(photo, thumb, colored) {
    photo.thumb = thumb;
    if (colored) photo.colored = true;
    this.#tell("photos");
    if (colored) this.keep();
  }

  /** What there is now is worth keeping over a reload. */
  keep() { this.#tell("keep"); }
}

export const desk = new Desk();
