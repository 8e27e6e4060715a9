// Many photos at once: the bar of those that are selected, and what is done to all of them.

import { desk } from "./desk.js";
import { announce, confirmed, warn } from "./notice.js";
import { $, tray } from "./parts.js";
import { offer, savedAs } from "./saving.js";
import { intoZip } from "./zipping.js";

let job = null; // the AbortController of the download that is going on

const counted = (photos) => (photos.length === 1 ? "1 photo" : `${photos.length} photos`);

function show() {
  tray.mark(desk.selected, desk.selecting);
  const { size } = desk.selected;
  $("many").hidden = !desk.selecting;
  $("many-count").value = size ? `${size} of ${desk.photos.length} selected` : "Choose photos, or";
  $("many-all").hidden = size === desk.photos.length;
  for (const id of ["many-download", "many-settings", "many-remove"]) $(id).disabled = size === 0;
  $("many-download").disabled ||= job !== null;
  $("many-settings").disabled ||= !desk.ready;
}

/** Those that are selected, in the order of the tray. */
const chosen = () => desk.photos.filter((photo) => desk.selected.has(photo));

// --- download -------------------------------------------------------------------------------------

async function download(photos) {
  if (job || !photos.length) return;
  job = new AbortController();
  show();
  const bar = $("zipping");
  const words = bar.querySelector("p");
  const progress = bar.querySelector("progress");
  progress.max = photos.length;
  const tell = (done) => {
    progress.value = done;
    words.textContent = `${done} of ${photos.length}`;
  };
  tell(0);
  bar.hidden = false;
  try {
    const { blob, done, failed } = await intoZip(photos, savedAs, tell, job.signal);
    if (blob) offer(blob, "photos in color.zip");
    if (done) announce(`${done === 1 ? "1 photo" : `${done} photos`} downloaded.`);
    if (failed.length) warn([`${counted(failed)} could not be put into the ZIP.`, ...failed].join("\n"));
  } catch (error) {
    if (job.signal.aborted) announce("Download stopped.");
    else desk.failed(error);
  } finally {
    job = null;
    bar.hidden = true;
    show();
  }
}

// --- settings and removal -------------------------------------------------------------------------

function settings() {
  const { temperature, saturation } = desk.current.work;
  const photos = chosen();
  desk.decideFor(photos, { temperature, saturation }, `${counted(photos)} have these settings now.`);
}

/** Removes photos; asks where work would be lost. */
async function remove(photos) {
  const worked = photos.filter(({ history }) => history.states.length > 1);
  const sure = photos.length === 1 && !worked.length ? true : await confirmed(
    photos.length === 1 ? "Remove this photo?" : `Remove ${counted(photos)}?`,
    `${photos.length === 1 ? photos[0].name : counted(photos)} and all hints are removed from this page. `
    + "The files on your disk don’t change.", "Remove");
  if (!sure) return;
  const focused = tray.list.contains(document.activeElement);
  await desk.remove(...photos);
  announce(`${counted(photos)} removed.`);
  if (focused) tray.list.querySelector("[aria-current]")?.focus();
}

const failed = () => desk.photos.filter(({ state }) => state === "failed");

tray.addEventListener("select", ({ detail: { photos, on } }) => desk.select(photos, on));
tray.addEventListener("remove", ({ detail: { photos } }) => desk.attempt(() => remove(photos)));
$("many-all").addEventListener("click", () => desk.select(desk.photos));
$("many-download").addEventListener("click", () => download(chosen()));
$("many-settings").addEventListener("click", settings);
$("many-remove").addEventListener("click", () => desk.attempt(() => remove(chosen())));
$("many-done").addEventListener("click", () => {
  desk.select([], false);
  $("select").focus();
});
$("zipping").querySelector("button").addEventListener("click", () => job?.abort());
$("download-all").addEventListener("click", () => download(desk.photos));
$("remove-failed").addEventListener("click", () => desk.attempt(() => desk.remove(...failed())));

function arrange() {
  $("download-all").hidden = desk.photos.length < 2;
  $("remove-failed").hidden = failed().length === 0;
  show();
}
desk.addEventListener("select", show);
desk.addEventListener("photos", arrange);
desk.addEventListener("change", arrange);
