// While the service does not answer: a banner says so, until it does again.

import { desk } from "./desk.js";
import { $ } from "./parts.js";
import { answers, connection } from "./service.js";

const PAUSE = 1500; // milliseconds

async function untilBack() {
  for (let status; (status = await answers()) !== "yes";) {
    const restarted = status === "restarted"; // a cookie that another tab gets lets this one in too
    $("away").querySelector("[data-why=silent]").hidden = restarted;
    $("away").querySelector("[data-why=restarted]").hidden = !restarted;
    $("away").hidden = false;
    await new Promise((resolve) => setTimeout(resolve, PAUSE));
  }
  $("away").hidden = true;
  desk.back();
}

connection.addEventListener("away", () => {
  desk.away ??= untilBack().finally(() => { desk.away = null; });
});
