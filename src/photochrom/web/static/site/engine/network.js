// The network, in ONNX Runtime for the web, and what it makes of a photo's L: models.py, colorizer.py.

import * as ort from "../vendor/ort.wasm.min.mjs";
import { Anchors } from "./anchors.js";
import { Distribution, infoOf, neutral, softmax } from "./distribution.js";
import { frameOf, networkInput, seenLightness, wholeOf } from "./frame.js";

const MOST_THREADS = 4; // and no more than half of the cores: the rest of the machine is busy, too

export class Network {
  #session;

  constructor(session, info) {
    this.#session = session;
    this.info = info;
  }

  /** @param {Uint8Array} model an .onnx file; described is what it says about itself */
  static async load(model, described) {
    ort.env.wasm.wasmPaths = new URL("../vendor/", import.meta.url).href;
    ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(MOST_THREADS, Math.ceil(navigator.hardwareConcurrency / 2)) : 1;
    ort.env.logLevel = "error";
    const session = await ort.InferenceSession.create(model, {
      executionProviders: ["wasm"],
      logSeverityLevel: 4,
      // Convert weights of 4 and 8 bits to floats once, now, rather than in each run.
      extra: { session: { disable_quant_qdq: "1" } },
    });
    return new Network(session, infoOf(described));
  }

  frame(shape, margin) {
    return frameOf(shape, this.info.working_size, this.info.multiple, margin?.box);
  }

  /**
   * The distribution over the colors of a photo.
   *
   * @param L the plane of its L, at its size or that of its frame
   * @param {[number, number]} shape of the photo
   * @param places of hints
   * @param plain the logits without hints, if they are known
   * @param margin of the photo; a hint in it says that it is none
   */
  async distribution(L, shape, places, { plain = null, margin = null } = {}) {
    const { info } = this;
    let frame = this.frame(shape, margin);
    if (margin && places.some(({ x, y }) => margin.holds(x, y))) {
      [frame, margin, plain] = [wholeOf(frame, info.multiple), null, null];
    }
    const stride = info.stride ?? 4;
    const [h, w] = [frame.height / stride, frame.width / stride];
    const x = networkInput(L, frame, info, []);
    let found = new Distribution(plain ?? await this.#logits(x, frame), h, w, info);
    if (margin) found = found.grayIn(margin);
    if (!places.length) return found;
    const hinted = await this.#logits(networkInput(L, frame, info, places), frame);
    const seen = seenLightness(x, frame, info);
    const anchors = new Anchors(places, seen, found.ab(), softmax(found.honest, h * w), [h, w]);
    return found.with({ logits: anchors.blended(found.logits, hinted), anchors });
  }

  async #logits(x, frame) {
    const { info } = this;
    const stride = info.stride ?? 4;
    const [top, left, bottom, right] = frame.window.map((side) => side / stride);
    const [h, w] = [frame.height / stride, frame.width / stride];
    const shape = [1, info.channels, frame.rows, frame.columns];
    const [name] = this.#session.inputNames;
    const answer = await this.#session.run({ [name]: new ort.Tensor("float32", x, shape) });
    const { data, dims: [, Q, rows, columns] } = answer[this.#session.outputNames[0]];
    const gray = neutral(info);
    const logits = new Float32Array(Q * h * w);
    for (let q = 0; q < Q; q++) {
      const from = q * h * w;
      if (bottom - top < h || right - left < w) logits.fill(gray[q], from, from + h * w);
      for (let y = top; y < bottom; y++) {
        const row = (q * rows + y - top) * columns;
        logits.set(data.subarray(row, row + right - left), from + y * w + left);
      }
    }
    return logits;
  }
}
