// Shows what the sandbox tells, as it tells it: each message is all that there is to see.
"use strict";

const state = document.getElementById("state");
const news = document.getElementById("news");
const pause = document.getElementById("pause");
const lists = [...document.querySelectorAll("[data-list]")];
const places = placesIn(document.body).filter((place) => !place.closest("[data-list]"));

let stream;
let paused = false;
let newest;
let frame;

pause.hidden = false;
pause.addEventListener("click", () => {
  paused = !paused;
  pause.setAttribute("aria-pressed", String(paused));
  follow();
});
document.addEventListener("visibilitychange", follow);
document.addEventListener("submit", lift);
follow();

// Listens while somebody looks. Nobody is told what nobody sees.
function follow() {
  if (paused || document.hidden) {
    stream?.close();
    stream = undefined;
    if (paused) tell("Paused");
  } else if (!stream) {
    connect();
  }
}

function connect() {
  const source = new EventSource("console/stream");
  stream = source;
  tell("Connecting…");
  source.onmessage = ({ data }) => {
    tell("Live");
    newest = data;
    // One drawing for each frame, however many messages there are.
    frame ??= requestAnimationFrame(draw);
  };
  source.onerror = () => {
    tell("No connection. Trying again…");
    // A browser does not try again after a refusal.
    if (source.readyState !== EventSource.CLOSED) return;
    setTimeout(() => {
      if (stream !== source) return;
      stream = undefined;
      follow();
    }, 2000);
  };
}

function tell(text) {
  // Said again only when it is something else.
  if (state.textContent !== text) state.textContent = text;
}

function draw() {
  frame = undefined;
  const view = JSON.parse(newest);
  fill(places, view);
  for (const list of lists) arrange(list, view[list.dataset.list]);
}

// Brings a list's items up to date. What stays is not touched, so that a focus stays too.
function arrange(list, items) {
  const wanted = new Set(items.map(({ id }) => id));
  const known = new Map();
  for (const element of [...list.children]) {
    if (wanted.has(element.dataset.id)) known.set(element.dataset.id, element);
    else element.remove();
  }
  let next = list.firstElementChild;
  for (const item of items) {
    const element = known.get(item.id) ?? blank(list.dataset.list, item.id);
    fill(placesIn(element), item);
    if (element === next) next = next.nextElementSibling;
    else list.insertBefore(element, next);
  }
}

function blank(name, id) {
  const element = document.getElementById(name).content.firstElementChild.cloneNode(true);
  element.dataset.id = id;
  return element;
}

function placesIn(root) {
  const inside = [...root.querySelectorAll("[data-text], [data-time], [data-attrs]")];
  return root.matches("[data-attrs]") ? [root, ...inside] : inside;
}

// Texts and attributes only: whatever a visitor sent, it is no markup here.
function fill(places, item) {
  for (const place of places) {
    const { text, attrs } = place.dataset;
    for (const pair of attrs?.split(" ") ?? []) {
      const [name, member] = pair.split("=");
      if (place.getAttribute(name) !== item[member]) place.setAttribute(name, item[member]);
    }
    if (place.dataset.time !== undefined) write(place, localTime(place.dateTime));
    if (text !== undefined) write(place, item[text]);
  }
}

function write(place, text) {
  if (place.textContent !== text) place.textContent = text;
}

function localTime(utc) {
  return new Date(utc).toLocaleTimeString([], { hourCycle: "h23" });
}

async function lift(event) {
  event.preventDefault();
  const form = event.target;
  const button = form.querySelector("button");
  const name = button.getAttribute("aria-label");
  news.textContent = "";
  button.disabled = true;
  // Where the answer leads is the page that is here already.
  const answer = await fetch(form.getAttribute("action"), { method: "POST", redirect: "manual" })
    .catch(() => undefined);
  button.disabled = false;
  if (answer?.type === "opaqueredirect") {
    news.textContent = `Done: ${name}`;
    document.getElementById("held-title").focus();
  } else {
    news.textContent = "It was not lifted. Check that the sandbox runs, then try again.";
    button.focus();
  }
}
