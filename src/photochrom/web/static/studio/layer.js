// One picture under the viewer, as sharp as the view needs it: the whole at preview size, and tiles
// of the full size where the view is closer than that.

import { Latest } from "./latest.js";
import * as service from "./service.js";

const TILE = 512; // pixels of a tile on the screen
const SCALES = [1, 2, 4, 8]; // photo pixels for each pixel of a tile
const SIZES = [640, 1024, 1600, 2048]; // of the whole
const LIVE = 1024; // while something is dragged
const MOST_TILES = 96; // kept, about 1 MB each
const AT_ONCE = 3;
const QUIET = 2000; // milliseconds

export class Layer {
  #latest = new Latest();
  #tiles = new Map(); // name → ImageBitmap, the longest unused first
  #loading = new Map(); // name → AbortController
  #wanted = [];
  #quiet = 0; // a time until which nothing is loaded, after it has failed

  /** redraw() is called when there is more to see; failed(error) when something cannot be had. */
  constructor(redraw, failed) {
    this.redraw = redraw;
    this.failed = failed;
    this.clear();
  }

  clear() {
    for (const load of this.#loading.values()) load.abort();
    this.#loading.clear();
    for (const name of this.#tiles.keys()) this.#forget(name);
    this.#wanted = [];
    this.source = null;
    this.whole?.close?.(); // a canvas that was lent has none
    this.whole = null;
    this.lent = null; // the photo that the whole was lent for
    this.shown = null; // key of the source that the whole shows
    this.asked = null; // key of the source whose whole was asked for, and the size
    this.size = 0;
  }

  /**
   * source: {photo, key, live, most, whole(size), tile({x, y, width, height, scale})}: `most` is the
   * longest side of a whole that the service gives, the last two are addresses. A source of the same photo replaces the picture when it is there, another at once.
   */
  set(source) {
    if (this.source?.photo !== source.photo && this.lent !== source.photo) this.clear();
    this.source = source;
    this.#quiet = 0;
  }

  /** A picture of a photo that is there already, until the first one of its source comes. */
  lend(picture, photo) {
    if (this.whole) return;
    [this.whole, this.lent] = [picture, photo];
  }

  /** Loads the whole so that it has `pixels` on its longer side, if the photo has. */
  want(pixels) {
    const source = this.source;
    if (source === null) return;
    const fit = SIZES.find((size) => size >= pixels) ?? SIZES.at(-1);
    const size = Math.min(source.live ? LIVE : fit, fit, source.most);
    if (this.asked === source.key && this.size >= size) return;
    if (performance.now() < this.#quiet) return;
    [this.asked, this.size] = [source.key, size];
    this.#latest.ask(() => this.#load(source, size)).catch((error) => {
      this.asked = null;
      this.#quiet = performance.now() + QUIET;
      this.failed(error);
    });
  }

  /** Its memory is not given back before the garbage is collected, and then in megabytes. */
  #forget(name) {
    this.#tiles.get(name).close();
    this.#tiles.delete(name);
  }

  async #load(source, size) {
    const picture = await createImageBitmap(await service.blob(source.whole(size)));
    if (this.source?.photo !== source.photo) return picture.close(); // another photo was chosen meanwhile
    const first = this.shown === null;
    this.whole?.close?.();
    [this.whole, this.lent] = [picture, null];
    if (this.shown !== source.key) {
      this.shown = source.key;
      for (const name of this.#tiles.keys()) {
        if (!name.startsWith(`${source.key} `)) this.#forget(name);
      }
    }
    this.redraw();
    this.arrived?.(first);
  }

  // --- drawing ------------------------------------------------------------------------------------

  /**
   * Draws into a context whose unit is a device pixel. view: {left, top, scale} in device pixels,
   * width and height of the photo, and the canvas's own.
   */
  draw(context, view) {
    const { left, top, scale, photo, columns, rows } = view;
    if (this.whole === null) return;
    context.imageSmoothingEnabled = true;
    context.imageSmoothingQuality = "high";
    const edge = (start, at) => Math.round(start + at * scale);
    const [x, y] = [edge(left, 0), edge(top, 0)];
    context.drawImage(this.whole, x, y, edge(left, photo.width) - x, edge(top, photo.height) - y);
    this.#wanted = [];
    const enough = Math.max(this.whole.width / photo.width, this.whole.height / photo.height);
    if (this.source === null || scale <= 1.05 * enough || enough >= 1) return this.#fetch();
    // Two device pixels of a tile for three of the screen are sharp enough.
    const level = SCALES.findLast((s) => s * scale <= 1.5) ?? 1;
    const side = TILE * level;
    const first = (start) => Math.max(0, Math.floor(-start / scale / side));
    const last = (start, screen, size) =>
      Math.min(Math.ceil(size / side), Math.ceil((screen - start) / scale / side));
    if (scale >= 2) context.imageSmoothingEnabled = false; // each pixel, as it is
    for (let row = first(top); row < last(top, rows, photo.height); row++) {
      for (let column = first(left); column < last(left, columns, photo.width); column++) {
        const tile = {
          x: column * side, y: row * side, scale: level,
          width: Math.min(side, photo.width - column * side),
          height: Math.min(side, photo.height - row * side),
        };
        const name = `${this.source.key} ${level} ${column} ${row}`;
        const picture = this.#tiles.get(name);
        if (picture && this.shown === this.source.key) {
          const [tx, ty] = [edge(left, tile.x), edge(top, tile.y)];
          context.drawImage(
            picture, tx, ty,
            edge(left, tile.x + tile.width) - tx, edge(top, tile.y + tile.height) - ty,
          );
          this.#tiles.delete(name);
          this.#tiles.set(name, picture);
        } else if (!picture) {
          const middle = [left + scale * (tile.x + tile.width / 2), top + scale * (tile.y + tile.height / 2)];
          const off = Math.hypot(middle[0] - columns / 2, middle[1] - rows / 2);
          this.#wanted.push({ name, tile, off });
        }
      }
    }
    this.#wanted.sort((one, other) => one.off - other.off);
    this.#fetch();
  }

  /** Whether all that the last view needed is there. */
  get complete() {
    const { source, shown, whole } = this;
    if (source === null || shown !== source.key || this.#wanted.length > 0) return false;
    return Math.max(whole.width, whole.height) >= this.size;
  }

  #fetch() {
    const names = new Set(this.#wanted.map(({ name }) => name));
    for (const [name, load] of this.#loading) {
      if (!names.has(name)) {
        load.abort();
        this.#loading.delete(name);
      }
    }
    // While something is dragged, tiles would always come too late.
    if (this.source?.live || performance.now() < this.#quiet) return;
    for (const { name, tile } of this.#wanted) {
      if (this.#loading.size >= AT_ONCE) return;
      if (!this.#loading.has(name)) this.#loadTile(name, this.source.tile(tile));
    }
  }

  async #loadTile(name, address) {
    const load = new AbortController();
    this.#loading.set(name, load);
    try {
      const picture = await createImageBitmap(await service.blob(address, load.signal));
      if (load.signal.aborted) return picture.close();
      this.#tiles.set(name, picture);
      for (const old of this.#tiles.keys()) {
        if (this.#tiles.size <= MOST_TILES) break;
        this.#forget(old);
      }
    } catch (error) {
      if (error.name === "AbortError" || load.signal.aborted) return;
      this.#quiet = performance.now() + QUIET;
      this.failed(error);
    } finally {
      if (this.#loading.get(name) === load) this.#loading.delete(name);
      this.redraw();
    }
  }
}
