// Before and after, side by side.

import { desk } from "./desk.js";
import { $, viewer } from "./parts.js";

/** The weak spots lie over both: whoever asks for the two sides has seen enough of them. */
function toggle() {
  const on = !desk.comparing || desk.unsure;
  if (desk.unsure) desk.show("unsure", false);
  desk.show("comparing", on);
  desk.keep();
}

$("compare").addEventListener("click", toggle);
viewer.addEventListener("letter", ({ detail: { letter } }) => letter === "c" && toggle());
$("original").addEventListener("click", () => desk.show("original", !desk.original));
