// Three settings that most people need, before the sliders.

import { desk } from "./desk.js";
import { $ } from "./parts.js";
import { START, temperatureOf } from "./work.js";

const PRESETS = {
  calm: { temperature: temperatureOf(-50), saturation: 0.8 },
  natural: { temperature: START.temperature, saturation: START.saturation },
  vivid: { temperature: temperatureOf(60), saturation: 1.16 },
};
const buttons = [...$("presets").children];
const has = (work, preset) => Object.entries(preset).every(([name, value]) => Math.abs(work[name] - value) < 1e-6);

for (const button of buttons) {
  const preset = PRESETS[button.dataset.preset];
  button.addEventListener("click", () => {
    if (!has(desk.current.work, preset)) desk.decide({ ...preset }, `${button.textContent} colors.`);
  });
}

function show() {
  const { work } = desk;
  for (const button of buttons) {
    button.setAttribute("aria-pressed", String(Boolean(work) && has(work, PRESETS[button.dataset.preset])));
  }
}
desk.addEventListener("change", show);
desk.addEventListener("picture", show);
