// The address that other machines open, as words and as a QR code.

import { desk } from "./desk.js";
import { $ } from "./parts.js";
import * as service from "./service.js";

const dialog = $("phone");

async function open() {
  const image = dialog.querySelector("img");
  URL.revokeObjectURL(image.src);
  image.src = URL.createObjectURL(await service.addressCode());
  dialog.showModal();
}

desk.addEventListener("learn", () => {
  $("open-phone").hidden = !(service.can.address && desk.address);
  dialog.querySelector("a").textContent = dialog.querySelector("a").href = desk.address ?? "";
});
$("open-phone").addEventListener("click", () => desk.attempt(open));
