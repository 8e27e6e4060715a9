// What is drawn on the photo with a hand: a stroke, an outline, a rectangle. Places are pixels of the photo.

const MOST = 200; // points that the service takes
const STEP = 3; // CSS pixels between two points
const LEAST = 8; // CSS pixels across: what is smaller is a click

export class Pencil {
  #points = null; // of what is being drawn

  constructor() {
    this.tool = "spot"; // or "brush", "lasso" or "box"
    this.shapes = []; // [{points, closed, chosen}, ...], which are there already
  }

  get drawing() { return this.#points !== null; }

  begin(place) { this.#points = this.tool === "spot" ? null : [place]; }

  /** Goes on to a place; `scale` is in CSS pixels for each pixel of the photo. */
  extend(place, scale) {
    if (this.tool === "box") this.#points = [this.#points[0], place];
    else if (scale * away(place, this.#points.at(-1)) >= STEP) this.#points.push(place);
  }

  drop() { this.#points = null; }

  /** What was drawn, {x, y, stroke} or {x, y, region}, with a place on it; null if it was but a click. */
  end(scale) {
    const points = this.#outline();
    this.#points = null;
    const across = Math.max(...["x", "y"].map((axis) => extent(points.map((point) => point[axis]))));
    if (scale * across < LEAST) return null;
    if (this.tool === "brush") {
      const stroke = thinned(points);
      return { ...stroke[stroke.length >> 1], stroke: stroke.map(pair) };
    }
    const region = thinned(points);
    return { ...within(region), region: region.map(pair) };
  }

  #outline() {
    if (this.tool !== "box" || this.#points.length < 2) return this.#points;
    const [from, to] = this.#points;
    return [from, { x: to.x, y: from.y }, to, { x: from.x, y: to.y }];
  }

  /** Draws all into a context whose unit is a device pixel; at(place) is a place in it. */
  draw(context, at, density) {
    const shapes = [...this.shapes];
    if (this.drawing) shapes.push({ points: this.#outline(), closed: this.tool !== "brush", chosen: true });
    context.save();
    context.lineJoin = context.lineCap = "round";
    for (const { points, closed, chosen } of shapes) {
      context.beginPath();
      points.forEach((point, index) => {
        const { x, y } = at(point);
        if (index) context.lineTo(x, y);
        else context.moveTo(x, y);
      });
      if (closed) context.closePath();
      for (const [style, width] of [["#111", 4], ["#fff", 2]]) {
        context.strokeStyle = style;
        context.lineWidth = density * (chosen ? width : 0.6 * width);
        context.globalAlpha = chosen ? 1 : 0.75;
        context.stroke();
      }
    }
    context.restore();
  }
}

const away = (one, other) => Math.hypot(one.x - other.x, one.y - other.y);
const extent = (values) => Math.max(...values) - Math.min(...values);
const pair = ({ x, y }) => [x, y].map((value) => Math.round(10 * value) / 10);

/** No more points than the service takes. */
function thinned(points) {
  const every = Math.ceil(points.length / MOST);
  return points.filter((_, index) => index % every === 0);
}

/** A place inside an outline: in the middle of the widest part at half its height. */
function within(outline) {
  const ys = outline.map(({ y }) => y);
  const y = (Math.max(...ys) + Math.min(...ys)) / 2;
  const crossed = [];
  outline.forEach((from, index) => {
    const to = outline[(index + 1) % outline.length];
    if ((from.y <= y) !== (to.y <= y)) crossed.push(from.x + (y - from.y) / (to.y - from.y) * (to.x - from.x));
  });
  crossed.sort((one, other) => one - other);
  let best = null;
  for (let index = 0; index + 1 < crossed.length; index += 2) {
    const wide = crossed[index + 1] - crossed[index];
    if (best === null || wide > best.wide) best = { wide, x: (crossed[index] + crossed[index + 1]) / 2 };
  }
  return best === null ? outline[0] : { x: best.x, y };
}
