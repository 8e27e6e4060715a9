// The studio begins here. The desk (desk.js) knows which photos there are and what was decided about
// them; each of the other modules listens to it, shows its own part of that, and hands on its gestures.

import "./away.js";
import "./choosing.js";
import "./compare.js";
import "./deciding.js";
import { desk } from "./desk.js";
import "./framing.js";
import { openGiven } from "./given.js";
import { restore } from "./keeping.js";
import "./many.js";
import "./marking.js";
import "./menu.js";
import { announce, calm, warn } from "./notice.js";
import { fetchColors } from "./opening.js";
import { $, viewer } from "./parts.js";
import "./pair.js";
import "./phone.js";
import "./presets.js";
import "./saving.js";
import { show } from "./screen.js";
import { READS, WHERE } from "./service.js";
import "./stage.js";
import "./versions.js";
import "./weak.js";
import "./welcome.js";

desk.addEventListener("problem", ({ detail: { words } }) => warn(words));
desk.addEventListener("news", ({ detail: { words } }) => announce(words));
desk.addEventListener("calm", calm);

async function begin() {
  $("reads").textContent = READS;
  $("where").textContent = WHERE;
  const last = await restore();
  viewer.setShare(desk.share);
  show(desk.tab);
  if (last) desk.turnTo(last);
  else desk.changed();
  await desk.learn();
  await openGiven();
  fetchColors();
}

begin();
