// Solves a proof of work in a worker, so that the page stays awake.
const bar = document.getElementById("progress");
let worker;

function solve() {
  const { salt, difficulty } = task;
  bar.hidden = false;
  bar.value = 0;
  return new Promise((resolve, reject) => {
    worker = new Worker(task.worker);
    worker.onmessage = ({ data: { hashes, nonce } }) => {
      bar.value = nonce === undefined ? chance(hashes, difficulty) * 100 : 100;
      if (nonce === undefined) return;
      worker.terminate();
      resolve(nonce);
    };
    worker.onerror = () => reject(new Failure("stuck"));
    worker.postMessage({ salt, difficulty: Number(difficulty) });
  });
}

function stop() {
  worker?.terminate();
  bar.hidden = true;
}

// How likely it was to be done by now. The end cannot be known, only that each step brings it closer.
function chance(hashes, difficulty) {
  return 1 - Math.exp(-hashes / 2 ** Number(difficulty));
}

start();
