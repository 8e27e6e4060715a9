// The photo on the desk before and after, as the service has it: addresses of pictures of a size, and of tiles.

import * as service from "./service.js";
import { START } from "./work.js";

/** Before: the photo itself; of a photo with colors of its own its lightness alone, unless they are asked for. */
export function before({ current: { info }, original }) {
  const { photo, color, prediction } = info;
  // Only the lightness was used, so that is what the colors are compared with.
  const gray = color && !original;
  const plain = { ...START, saturation: 0 };
  return {
    key: gray ? `${photo}/gray` : photo,
    whole: (size) => (gray ? service.previewAt(photo, prediction, plain, size) : service.originalAt(photo, size)),
    tile: (tile) => (gray ? service.tileAt(photo, prediction, plain, tile) : service.originalTileAt(photo, tile)),
  };
}

/** After: its colors. */
export function after({ photo, prediction, work }) {
  return {
    key: [photo, prediction, ...Object.values(service.look(work))].join("/"),
    whole: (size) => service.previewAt(photo, prediction, work, size),
    tile: (tile) => service.tileAt(photo, prediction, work, tile),
  };
}
