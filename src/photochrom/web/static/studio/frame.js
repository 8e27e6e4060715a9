// How a photo is turned and cropped: {turn, box, full} or null, where it is as its file has it. `turn` is
// clockwise, in degrees; `box` is {x, y, width, height} in pixels of the turned photo, or null for all of
// it; `full` is {width, height} of the file's photo. Places are pixels of what is shown.

/** The size of the whole photo, turned. */
const turned = ({ width, height }, turn) => (turn % 180 ? { width: height, height: width } : { width, height });

/** A place of a photo, {width, height}, in the photo turned by so much. */
function turnedPlace({ x, y }, { width, height }, turn) {
  if (turn === 90) return { x: height - y, y: x };
  if (turn === 180) return { x: width - x, y: height - y };
  if (turn === 270) return { x: y, y: width - x };
  return { x, y };
}

function turnedBox(box, size, turn) {
  const [one, other] = [box, { x: box.x + box.width, y: box.y + box.height }].map((at) => turnedPlace(at, size, turn));
  return {
    x: Math.min(one.x, other.x), y: Math.min(one.y, other.y),
    width: Math.abs(one.x - other.x), height: Math.abs(one.y - other.y),
  };
}

/**
 * What is shown is turned on, and then cropped.
 *
 * @param {object | null} frame as it is shown now
 * @param {{width, height}} shown the size of what is shown
 * @param {number} turn degrees
 * @param {object | null} crop a box in what is shown then
 */
export function next(frame, shown, turn, crop) {
  const { width, height } = shown;
  const from = frame ?? { turn: 0, box: null, full: { width, height } };
  const whole = turned(from.full, from.turn);
  const all = { x: 0, y: 0, ...whole };
  let box = turnedBox(from.box ?? all, whole, turn);
  if (crop) box = { x: box.x + crop.x, y: box.y + crop.y, width: crop.width, height: crop.height };
  const to = { turn: (from.turn + turn) % 360, full: from.full };
  const size = turned(to.full, to.turn);
  const entire = box.width === size.width && box.height === size.height;
  return to.turn === 0 && entire ? null : { ...to, box: entire ? null : box };
}

/** A function that takes a place of what is shown in one frame to the same place in another. */
export function between(one, other) {
  const full = (one ?? other)?.full;
  if (!full) return (place) => place;
  const [from, to] = [one, other].map((frame) => frame ?? { turn: 0, box: null });
  return ({ x, y }) => {
    const there = { x: x + (from.box?.x ?? 0), y: y + (from.box?.y ?? 0) };
    const place = turnedPlace(there, turned(full, from.turn), (to.turn - from.turn + 360) % 360);
    return { x: place.x - (to.box?.x ?? 0), y: place.y - (to.box?.y ?? 0) };
  };
}

/** The size of what is shown of a photo whose file has that size. */
export function sizeIn(frame, full) {
  if (!frame) return full;
  const { width, height } = frame.box ?? turned(full, frame.turn);
  return { width, height };
}

const isSide = (value) => Number.isInteger(value) && value >= 1 && value <= 1e6;
const isPlace = (value) => Number.isInteger(value) && value >= 0 && value <= 1e6;

/** A frame that was read from a file or from the browser; null if it is none. */
export function checkedFrame(frame) {
  if (typeof frame !== "object" || frame === null) return null;
  const { turn, box = null, full } = frame;
  if (![0, 90, 180, 270].includes(turn) || !isSide(full?.width) || !isSide(full.height)) return null;
  const size = turned(full, turn);
  if (box !== null) {
    const { x, y, width, height } = box;
    if (![x, y].every(isPlace) || ![width, height].every(isSide)) return null;
    if (x + width > size.width || y + height > size.height) return null;
  }
  return { turn, box: box && { x: box.x, y: box.y, width: box.width, height: box.height }, full: { width: full.width, height: full.height } };
}
