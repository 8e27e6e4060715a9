// What an empty desk offers: the examples.

import { desk } from "./desk.js";
import { openFiles } from "./opening.js";
import { $ } from "./parts.js";
import * as service from "./service.js";

const list = $("examples").querySelector("ul");
let asking = false;

async function offer() {
  if (desk.current || asking || list.children.length) return;
  asking = true;
  const found = await service.examples().catch(() => []);
  asking = false;
  list.replaceChildren(...found.map(item));
  $("examples").hidden = found.length === 0;
}

function item({ url, title }) {
  const image = new Image();
  image.alt = "";
  image.src = url;
  const words = document.createElement("span");
  words.textContent = title;
  const button = document.createElement("button");
  button.type = "button";
  button.append(image, words);
  button.addEventListener("click", () => desk.attempt(async () => {
    openFiles([new File([await service.blob(url)], `${title}.jpg`)]);
  }));
  const line = document.createElement("li");
  line.append(button);
  return line;
}

desk.addEventListener("change", offer);
