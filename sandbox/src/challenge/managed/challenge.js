// Has the task of the page solved by a worker, hands the answer in, and goes where it is told.
"use strict";

const { salt, difficulty } = document.getElementById("challenge").dataset;
const bar = document.getElementById("progress");
const status = document.getElementById("status");
const again = document.getElementById("again");

document.getElementById("work").hidden = false;
again.addEventListener("click", run);
run();

async function run() {
  again.hidden = true;
  bar.hidden = false;
  bar.value = 0;
  status.classList.remove("failed");
  status.textContent = "Calculating… You need to do nothing.";
  try {
    const nonce = await solve();
    bar.value = 100;
    status.textContent = "Done. Handing in the answer…";
    const location = await handIn(nonce);
    status.textContent = "Done. Taking you back…";
    // Replaced, so that “back” does not lead to a check that is over.
    window.location.replace(withFragment(location));
  } catch (error) {
    bar.hidden = true;
    status.classList.add("failed");
    status.textContent = error.message;
    again.hidden = false;
  }
}

function solve() {
  return new Promise((resolve, reject) => {
    const worker = new Worker("../assets/proof-of-work.js");
    worker.onmessage = ({ data: { hashes, nonce } }) => {
      if (nonce === undefined) {
        bar.value = chance(hashes) * 100;
      } else {
        worker.terminate();
        resolve(nonce);
      }
    };
    worker.onerror = () => {
      worker.terminate();
      reject(new Error("The calculation did not start. Check your connection, then try again."));
    };
    worker.postMessage({ salt, difficulty: Number(difficulty) });
  });
}

// How likely it was to be done by now. The end cannot be known, only that each step brings it closer.
function chance(hashes) {
  return 1 - Math.exp(-hashes / 2 ** Number(difficulty));
}

// Redirects hand a fragment on that no server sees, so the one that came here goes back.
function withFragment(location) {
  const url = new URL(location);
  if (url.hash === "") url.hash = window.location.hash;
  return url;
}

async function handIn(nonce) {
  const failed = new Error("The answer did not get through. Check your connection, then try again.");
  const answer = await fetch(window.location.pathname, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ response: nonce }),
  }).catch(() => {
    throw failed;
  });
  if (answer.status === 404 || answer.status === 410) {
    // The check is over. The page that says so knows the way back.
    window.location.reload();
    return new Promise(() => {});
  }
  if (!answer.ok) throw failed;
  return (await answer.json()).location;
}
