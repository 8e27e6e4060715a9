// One participant's way through a study. The server decides what comes next and never says which
// side is which before an answer. A request whose reply is lost is simply repeated; only a pair
// starts once, so that nobody sees it twice: whoever loses that reply gets another pair.

const $ = (id) => document.getElementById(id);
const sections = document.querySelectorAll("main > section");
const trialView = $("trial");
const sides = { left: $("left"), right: $("right") };

let exposure = 1; // seconds

// --- the server -----------------------------------------------------------------------------------

const LONGEST_WAIT = 8000; // ms between two tries
const REPLACED = "That pair is no longer available. Here is a different one.";

/** Resolves after ms, or when somebody cannot wait. */
function pause(ms) {
  return new Promise((resolve) => {
    const timer = setTimeout(done, ms);
    function done() {
      clearTimeout(timer);
      $("retry").removeEventListener("click", done);
      window.removeEventListener("online", done);
      resolve();
    }
    $("retry").addEventListener("click", done);
    window.addEventListener("online", done);
  });
}

/** The reply as {ok, data}; not ok is what is not there (any more). While the server is away, says so and tries again. */
async function call(path, body) {
  const request = {};
  if (body !== undefined) {
    request.method = "POST";
    request.headers = { "Content-Type": "application/json" };
    request.body = JSON.stringify(body);
  }
  for (let wait = 500; ; wait = Math.min(2 * wait, LONGEST_WAIT)) {
    try {
      request.signal = AbortSignal.timeout(15000);
      const reply = await fetch(path, request);
      const data = reply.status === 204 ? {} : await reply.json();
      if (reply.ok || reply.status === 404) {
        $("lost").hidden = true;
        return { ok: reply.ok, data };
      }
    } catch {
      // No connection, no reply in time, or half a reply: the same to us.
    }
    $("lost").hidden = false;
    await pause(wait);
  }
}

// --- what is on the screen ------------------------------------------------------------------------

function screen(id) {
  for (const section of sections) section.hidden = section.id !== id;
  $("progress").hidden = id !== "trial";
}

/** Shows a screen of words and waits until one of its buttons is pressed; resolves to that button. */
function ask(id) {
  screen(id);
  const buttons = [...$(id).querySelectorAll("button")];
  buttons[0]?.focus({ preventScroll: true });
  window.scrollTo(0, 0);
  return new Promise((resolve) => {
    const done = (event) => {
      for (const button of buttons) button.removeEventListener("click", done);
      resolve(event.currentTarget);
    };
    for (const button of buttons) button.addEventListener("click", done);
  });
}

function setState(state, words) {
  trialView.dataset.state = state;
  for (const side of Object.values(sides)) side.disabled = state !== "question";
  if (words !== undefined) $("status").textContent = words;
}

function setProgress(trial) {
  const what = trial.practice ? "Practice" : "Pair";
  $("progress-text").textContent = `${what} ${trial.number} of ${trial.total}`;
  $("progress-bar").max = trial.total;
  $("progress-bar").value = trial.number - 1;
}

/** Waits for the big button, a tap on the pair, Space or Enter. */
function pressed(label) {
  const button = $("show");
  button.textContent = label;
  button.focus({ preventScroll: true });
  return new Promise((resolve) => {
    const done = () => {
      button.removeEventListener("click", done);
      $("pair").removeEventListener("click", done);
      document.removeEventListener("keydown", key);
      resolve();
    };
    const key = (event) => {
      // A focused button does this by itself.
      if ([" ", "Enter"].includes(event.key) && document.activeElement.tagName !== "BUTTON") {
        event.preventDefault();
        done();
      }
    };
    button.addEventListener("click", done);
    $("pair").addEventListener("click", done);
    document.addEventListener("keydown", key);
  });
}

// A key held down is one press: it must neither answer the next pair nor rush through the pauses.
document.addEventListener("keydown", (event) => {
  if (event.repeat && [" ", "Enter", "ArrowLeft", "ArrowRight"].includes(event.key)) {
    event.preventDefault();
    event.stopImmediatePropagation();
  }
}, { capture: true });

// --- one trial ------------------------------------------------------------------------------------

/** Loads and decodes both photos, so that they appear at once and at the same time; resolves to them. */
async function load(trial) {
  const images = await Promise.all(Object.keys(sides).map(async (side) => {
    const image = new Image();
    image.alt = "";
    image.draggable = false;
    image.src = trial[side];
    await image.decode();
    return [side, image];
  }));
  attach(images);
  return images;
}

function attach(images) {
  for (const [side, image] of images) sides[side].append(image);
}

function unload() {
  for (const side of Object.values(sides)) side.querySelector("img")?.remove();
}

/** Shows the pair; resolves to the ms for which it was shown, or null if the page was hidden. */
function expose() {
  return new Promise((resolve) => {
    let first;
    let last;
    let over = false;
    const end = (shown) => {
      over = true;
      document.removeEventListener("visibilitychange", hidden);
      setState("loading");
      unload();
      resolve(shown);
    };
    const hidden = () => document.hidden && !over && end(null);
    const frame = (now) => {
      if (over) return;
      if (first === undefined) {
        first = now;
        setState("shown", "");
      } else if (now - first + (now - last) / 2 >= 1000 * exposure) {
        // The next frame would be further from the mark than this one.
        end(now - first);
        return;
      }
      last = now;
      requestAnimationFrame(frame);
    };
    document.addEventListener("visibilitychange", hidden);
    if (document.hidden) end(null);
    else requestAnimationFrame(frame);
  });
}

/** Asks for the side; resolves to {side, ms}. */
function choose() {
  setState("question", "Which one was recolored?");
  const began = performance.now();
  return new Promise((resolve) => {
    const done = (side, event) => {
      for (const name in sides) sides[name].removeEventListener("click", click);
      document.removeEventListener("keydown", key);
      event.preventDefault();
      resolve({ side, ms: Math.max(0, event.timeStamp - began) });
    };
    const click = (event) => done(event.currentTarget.id, event);
    const key = (event) => {
      if (event.altKey || event.ctrlKey || event.metaKey) return; // Alt and Left go a page back
      if (event.key === "ArrowLeft") done("left", event);
      if (event.key === "ArrowRight") done("right", event);
    };
    for (const name in sides) sides[name].addEventListener("click", click);
    document.addEventListener("keydown", key);
  });
}

/** One pair, from its announcement to the stored answer. */
async function run(trial, note) {
  setProgress(trial);
  screen("trial");
  setState("loading", note || "Ready?");
  let images;
  try {
    images = await load(trial);
  } catch {
    unload();
    await pause(500);
    return ""; // the server is asked again, which also waits for it
  }
  setState("ready", note || "Ready?");
  await pressed("Show the photos");
  setState("loading");
  if (!(await call(`/api/trials/${trial.id}/start`, {})).ok) {
    unload();
    return REPLACED;
  }
  const shown = await expose();
  if (shown === null) return "That pair was interrupted. Here is a different one.";

  const { side, ms } = await choose();
  setState("loading");
  const reply = await call(`/api/trials/${trial.id}/answer`, {
    side, response_ms: ms, exposure_ms: shown,
  });
  if (reply.ok && trial.practice) {
    const { right, recolored } = reply.data;
    sides[recolored].classList.add("recolored");
    const verdict = right ? "✓ Correct:" : "✗ Wrong:";
    attach(images); // once more, for as long as it takes to see what gave it away
    setState("feedback", `${verdict} the ${recolored} one was recolored.`);
    await pressed("Next");
    unload();
    sides[recolored].classList.remove("recolored");
  }
  return reply.ok ? "" : REPLACED;
}

// --- the whole way --------------------------------------------------------------------------------

function describe(session) {
  exposure = session.exposure;
  if (exposure !== 1) {
    for (const word of document.querySelectorAll(".exposure")) {
      word.textContent = `${exposure} seconds`;
    }
  }
  const minutes = Math.max(1, Math.round((session.practice + session.pairs) * 5 / 60));
  const pairs = (n) => `${n} ${n === 1 ? "pair" : "pairs"}`;
  const before = session.practice
    ? `First you’ll practice on ${pairs(session.practice)}, with feedback after each. Then you’ll see `
    : "You’ll see ";
  $("amount").textContent = `${before}${pairs(session.pairs)} without feedback. `
    + `It takes about ${minutes === 1 ? "a minute" : `${minutes} minutes`}.`;
  if (session.joined) {
    $("so-far").textContent = `You have answered ${session.answered} of ${session.total} pairs.`;
  }
}

async function finish(score) {
  const { right, counted } = score;
  $("score").textContent = `You found the recolored photo in ${right} of ${counted} pairs. `
    + `Guessing alone would get about ${Math.round(counted / 2)}.`;
  await ask("done");
  await begin(true);
}

async function trials() {
  let note = "";
  let practiced = false;
  for (;;) {
    const { ok, data } = await call("/api/next", {});
    if (!ok) return begin(false); // the cookie is gone
    if (data.trial === null) return finish(data.session.score);
    if (practiced && !data.trial.practice) await ask("break");
    practiced = data.trial.practice;
    note = await run(data.trial, note);
  }
}

async function begin(another) {
  if (another) {
    describe((await call("/api/session")).data);
    await ask("welcome");
  } else {
    const session = (await call("/api/session")).data;
    describe(session);
    if (session.finished) return finish(session.score);
    if (session.joined && session.answered) {
      if ((await ask("back")).id !== "go-on") return begin(true);
    } else {
      await ask("welcome");
    }
  }
  await call("/api/join", { another });
  if (!(await call("/api/session")).data.joined) return screen("no-cookie");
  return trials();
}

begin(false);
