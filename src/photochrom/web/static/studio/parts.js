// The parts of the page, one of each.

import { Colorings } from "./colorings.js";
import { HintList } from "./hintlist.js";
import { Markers } from "./markers.js";
import { Settings } from "./settings.js";
import { Spot } from "./spot.js";
import { Tray } from "./tray.js";
import { Viewer } from "./viewer.js";

export const $ = (id) => document.getElementById(id);

export const viewer = new Viewer($("stage"));
export const markers = new Markers(viewer, $("hints"), $("spots"));
export const settings = new Settings($("adjust"));
export const colorings = new Colorings($("colorings"));
export const hintList = new HintList($("hint-list"));
export const spot = new Spot($("spot"));
export const tray = new Tray($("tray"));
