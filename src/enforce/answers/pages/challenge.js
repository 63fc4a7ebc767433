// Has the challenge of the page solved, hands the answer in, and goes where it is told. What solves
// it, `solve` and `stop`, stands after this in the same script.
"use strict";

// What went wrong, by its word in the page.
class Failure extends Error {}

// In milliseconds: after which work is slow, a request is lost, a challenge may have expired, and
// until when a visitor has just passed.
const SLOW = 15_000;
const PATIENCE = 20_000;
const FRESH = 60_000;
const RECENT = 20_000;
const PASSED = "esper-challenge-passed";

const work = document.getElementById("work");
const task = work.dataset;
const posted = task.posted === "true";
const status = document.getElementById("status");
const again = document.getElementById("again");
const others = otherTabs();

let answer;
let tried = false;
let expired = false;
let over = false;
let slow;

// Whatever the page was given, it leads to this site.
const returnTo = isOfThisSite(task.returnTo) ? task.returnTo : "/";

function start() {
  work.hidden = false;
  // Only for the site's counts: how many of those who are challenged see this page.
  fetch(`${task.endpoint}/loaded`, { method: "POST", keepalive: true }).catch(() => {});
  again.addEventListener("click", tryAgain);
  others?.addEventListener("message", () => pass(returnTo));
  document.addEventListener("visibilitychange", startAnewIfStale);
  // As it was left, not as it was loaded.
  window.addEventListener("pageshow", (event) => event.persisted && startAnew());
  if (!navigator.cookieEnabled) {
    fail(new Failure("no-cookies"));
  } else if (hasJustPassed()) {
    // Going on by itself, it could go round in circles.
    fail(new Failure("repeated"));
  } else {
    run();
  }
}

function tryAgain() {
  tried = true;
  if (expired) startAnew();
  else run();
}

async function run() {
  again.hidden = true;
  status.classList.remove("failed");
  try {
    if (answer === undefined) {
      tell("working");
      slow = setTimeout(tell, SLOW, "slow");
      answer = await solve();
      clearTimeout(slow);
    }
    if (over) return;
    tell("handing-in");
    const location = await handIn();
    others?.postMessage("passed");
    pass(location);
  } catch (failure) {
    if (!over) fail(failure);
  }
}

async function handIn() {
  const outcome = await fetch(task.endpoint, {
    method: "POST",
    headers: { "Content-Type": "application/json", Accept: "application/json" },
    body: JSON.stringify({ envelope: task.envelope, response: answer }),
    redirect: "error",
    signal: AbortSignal.timeout?.(PATIENCE),
  }).catch(() => undefined);
  // Too slow, too many at once, or a server that fails: the same answer may get through later.
  if (!outcome || [408, 429].includes(outcome.status) || outcome.status >= 500) throw new Failure("lost");
  const verdict = outcome.ok ? await outcome.json().catch(() => undefined) : undefined;
  if (!isOfThisSite(verdict?.location)) throw new Failure("refused");
  return verdict.location;
}

// Whether it is a path, and one that no browser takes for the address of another site.
function isOfThisSite(location) {
  if (typeof location !== "string" || !location.startsWith("/")) return false;
  return new URL(location, window.location.origin).origin === window.location.origin;
}

// The check is passed, here or in another tab.
function pass(location) {
  if (over) return;
  end();
  again.hidden = true;
  status.classList.remove("failed");
  if (posted) {
    // Going on by itself would lose what was sent. Going back brings the form, as it was filled in.
    tell("passed");
    choose(location);
    return;
  }
  tell("leaving");
  noteThatPassed();
  go(location);
}

function fail(failure) {
  clearTimeout(slow);
  stop();
  // Whatever else went wrong kept the answer from being found.
  const word = failure instanceof Failure ? failure.message : "stuck";
  status.classList.add("failed");
  if (word === "refused" && posted) {
    tell("refused-posted");
    choose(returnTo);
    return;
  }
  tell(word);
  expired = !posted && ["refused", "no-cookies"].includes(word);
  again.hidden = false;
  // It lost the focus when it was hidden.
  if (tried) again.focus();
}

function choose(location) {
  const back = document.getElementById("back");
  const open = document.getElementById("open");
  // One listener, also where a refused answer is followed by another tab that passed.
  back.onclick = () => history.back();
  // In a window of its own, there is nothing to go back to.
  back.hidden = history.length < 2;
  // The status says what it said.
  document.getElementById("notice").hidden = true;
  open.href = location;
  document.getElementById("choices").hidden = false;
  (back.hidden ? open : back).focus();
}

// A tab that was asleep: its challenge may have expired, and another tab may have passed.
function startAnewIfStale() {
  if (!document.hidden && !over && performance.now() > FRESH) startAnew();
}

// Asks for the page again, which brings a fresh challenge, or none. What was posted is not posted again.
function startAnew() {
  if (posted) return;
  end();
  go(returnTo);
}

function end() {
  over = true;
  clearTimeout(slow);
  stop();
}

// Replaces the page, so that “back” does not lead to a check that is over.
function go(location) {
  const url = new URL(location, window.location.origin);
  // No server sees the fragment, so it is kept here.
  url.hash = window.location.hash;
  // With a fragment, the same address would only be scrolled to.
  if (url.hash !== "" && url.href === window.location.href) window.location.reload();
  else window.location.replace(url);
}

function noteThatPassed() {
  try {
    sessionStorage.setItem(PASSED, String(Date.now()));
  } catch {
    // Where nothing may be kept, it is not known.
  }
}

function hasJustPassed() {
  try {
    const age = Date.now() - Number(sessionStorage.getItem(PASSED));
    return age >= 0 && age < RECENT;
  } catch {
    return false;
  }
}

// Pages of this site in other tabs.
function otherTabs() {
  try {
    return new BroadcastChannel("esper-challenge");
  } catch {
    // Old browsers have none, and some none where nothing may be kept.
    return undefined;
  }
}

function tell(word) {
  const words = document.getElementById("words").content;
  const text = words.querySelector(`[data-word="${word}"]`).textContent;
  status.textContent = text.replace(/\s+/g, " ").trim();
}
