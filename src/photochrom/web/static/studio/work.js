// What a person has decided about one photo, and the way there. A state is never changed, only
// replaced: undo and redo are steps along a list of them.

export const TEMPERATURE = 0.38; // of the annealed mean, as in the paper
const SPREAD = 2.63; // vividness ±100 is the temperature divided or multiplied by this: 0.14..1.0
const MOST_STEPS = 200;
const CANDIDATES = 6; // that the service has for a seed

export const MOST_REACH = 4; // of a hint, as the service has it

const MOST_POINTS = 200; // of a stroke or an outline

/**
 * Nothing decided yet. A hint is {id, x, y, color: [r, g, b], gray, reach, strength, stroke, region}, x and
 * y in pixels of the photo. Its reach, 0..4, and its strength, 0..1, are 1 where they are left out. It may
 * have a stroke or the outline of a region, [[x, y], ...]; then x and y are a place on it.
 */
export const START = Object.freeze({
  hints: Object.freeze([]), temperature: TEMPERATURE, saturation: 1, candidate: null, seed: 0,
});

/** Vividness -100..100, 0 being the paper's temperature, of a temperature. */
export const vividnessOf = (temperature) =>
  Math.round(100 * Math.log(TEMPERATURE / temperature) / Math.log(SPREAD));
export const temperatureOf = (vividness) => TEMPERATURE * SPREAD ** (-vividness / 100);

/** The reach, the strength and the shape of a hint, as far as they are not the usual ones. */
export const details = ({ reach = 1, strength = 1, stroke, region }) => ({
  ...(reach === 1 ? {} : { reach }), ...(strength === 1 ? {} : { strength }),
  ...(stroke ? { stroke } : {}), ...(region ? { region } : {}),
});

/** A hint at another place, with all its points, each of which `to` takes there. */
export const movedHint = (hint, to) => {
  const move = ([x, y]) => {
    const place = to({ x, y });
    return [place.x, place.y];
  };
  const shape = ["stroke", "region"].filter((kind) => hint[kind]).map((kind) => [kind, hint[kind].map(move)]);
  return { ...hint, ...to(hint), ...Object.fromEntries(shape) };
};

export class History {
  constructor(states = [START], at = states.length - 1) {
    this.states = states;
    this.at = at;
  }

  get now() { return this.states[this.at]; }
  get canUndo() { return this.at > 0; }
  get canRedo() { return this.at < this.states.length - 1; }

  /** Replaces what could have been redone. */
  push(state) {
    this.states = [...this.states.slice(0, this.at + 1), Object.freeze(state)].slice(-MOST_STEPS);
    this.at = this.states.length - 1;
  }

  undo() { if (this.canUndo) this.at--; }
  redo() { if (this.canRedo) this.at++; }
}

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);
const within = (value, low, high) => isNumber(value) && value >= low && value <= high;

const nearest = (value, low, high) => Math.min(Math.max(value, low), high);

/** A state like that one, with all settings in their range and no hint far from any photo; and whether it differs. */
export function mended(state) {
  if (typeof state !== "object" || state === null || !Array.isArray(state.hints)) return [state, false];
  const { temperature, saturation, candidate = null, seed = 0 } = state;
  const better = {
    temperature: isNumber(temperature) ? nearest(temperature, 0.01, 10) : temperature,
    saturation: isNumber(saturation) ? nearest(saturation, 0, 10) : saturation,
    candidate: candidate === null || isCandidate(candidate) ? candidate : null,
    seed: isSeed(seed) ? seed : 0,
  };
  const hints = state.hints.filter((hint) => ![hint?.x, hint?.y].some((at) => isNumber(at) && !within(at, 0, 1e6)));
  const changed = Object.keys(better).some((name) => better[name] !== (state[name] ?? { candidate, seed }[name]));
  return [{ ...state, ...better, hints }, changed || hints.length < state.hints.length];
}

const isLine = (line) => Array.isArray(line) && line.length > 0 && line.length <= MOST_POINTS
  && line.every((point) => Array.isArray(point) && point.length === 2 && point.every((at) => within(at, 0, 1e6)));
const isCandidate = (value) => Number.isInteger(value) && within(value, 0, CANDIDATES - 1);
const isSeed = (value) => Number.isInteger(value) && within(value, 0, 2 ** 32 - 1);

/** A state that was read from a file or from the browser, or null if it is not one. */
export function checked(state) {
  if (typeof state !== "object" || state === null || !Array.isArray(state.hints)) return null;
  const { temperature, saturation, candidate = null, seed = 0 } = state;
  if (!within(temperature, 0.01, 10) || !within(saturation, 0, 10)) return null;
  if (candidate !== null && !isCandidate(candidate)) return null;
  if (!isSeed(seed)) return null;
  const hints = [];
  for (const hint of state.hints) {
    const { x, y, color } = hint ?? {};
    if (!within(x, 0, 1e6) || !within(y, 0, 1e6) || !Array.isArray(color)) return null;
    if (color.length !== 3 || !color.every((value) => within(value, 0, 255))) return null;
    const { reach = 1, strength = 1 } = hint;
    if (!within(reach, 0, MOST_REACH) || !within(strength, 0, 1)) return null;
    const { stroke, region } = hint;
    if (![stroke, region].every((line) => line === undefined || isLine(line))) return null;
    const rest = details({ reach, strength, stroke, region });
    hints.push({ id: String(hint.id ?? newId()), x, y, color, gray: hint.gray === true, ...rest });
  }
  return Object.freeze({ hints, temperature, saturation, candidate, seed });
}

/** A name that nothing else has. (crypto.randomUUID is not there on a page of another machine.) */
export function newId() {
  const words = crypto.getRandomValues(new Uint32Array(3));
  return Array.from(words, (word) => word.toString(36)).join("");
}
