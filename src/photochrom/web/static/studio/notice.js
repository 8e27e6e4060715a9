// What the page tells: errors where everybody sees them, news where a screen reader hears them.

const $ = (id) => document.getElementById(id);
const MOST = 3; // errors that are told at once

/** For screen readers: what happened, in a few words. */
export function announce(words) {
  $("live").textContent = "";
  // A change of the same text to itself would not be read out again.
  requestAnimationFrame(() => { $("live").textContent = words; });
}

let told = []; // in the notice that is open, a line each

/** Tells an error; those that were told and not put away stay beside it. */
export function warn(words) {
  const box = $("notice");
  told = [...told.filter((line) => line !== words), words].slice(-MOST);
  box.querySelector("p").textContent = told.join("\n");
  box.hidden = false;
}

export function calm() {
  told = [];
  $("notice").hidden = true;
}

$("notice").querySelector("button").addEventListener("click", () => {
  calm();
  const place = $("canvas").checkVisibility() ? $("canvas") : $("choose");
  place.focus({ preventScroll: true });
});

/** Asks for a yes in a dialog; resolves to whether it came. */
export function confirmed(title, words, yes) {
  const dialog = $("confirm");
  dialog.querySelector("h2").textContent = title;
  dialog.querySelector("p").textContent = words;
  dialog.querySelector("[value=yes]").textContent = yes;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

for (const dialog of document.querySelectorAll("dialog")) {
  dialog.addEventListener("click", (event) => {
    const answer = event.target.closest("button[value]");
    if (answer) dialog.close(answer.value);
    else if (event.target === dialog) dialog.close("no"); // the ground around it
  });
  // Each was opened from the menu, which is closed by now.
  dialog.addEventListener("close", () => $("menu-button").focus());
}
