// The menu: putting photos away, and what keys there are.

import { desk } from "./desk.js";
import { clear } from "./keeping.js";
import { confirmed } from "./notice.js";
import { $ } from "./parts.js";
import { KEEPERS } from "./service.js";

async function remove() {
  const sure = await confirmed("Remove this photo?",
    `${desk.current.name} and its hints are removed from this page. The file on your disk doesn’t change.`, "Remove");
  if (sure) await desk.remove(desk.current);
}

async function clearAll() {
  const sure = await confirmed("Clear all?",
    `All photos and hints are removed from ${KEEPERS}. The files on your disk don’t change.`, "Clear all");
  if (sure) await clear();
}

$("remove").addEventListener("click", () => desk.attempt(remove));
$("clear").addEventListener("click", () => desk.attempt(clearAll));
$("keys").addEventListener("click", () => $("shortcuts").showModal());
for (const menu of document.querySelectorAll(".menu")) {
  menu.addEventListener("click", (event) => event.target.closest("button") && menu.hidePopover());
}
