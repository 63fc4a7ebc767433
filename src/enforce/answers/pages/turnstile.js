// Has Cloudflare Turnstile find out whether this is a person.
const widget = document.getElementById("widget");
let rendered;

async function solve() {
  widget.hidden = false;
  if (!window.turnstile) await load();
  return new Promise((resolve, reject) => {
    const stuck = () => {
      reject(new Failure("stuck"));
      return true;
    };
    rendered = window.turnstile.render(widget, {
      sitekey: task.siteKey,
      // The wider one does not fit on a small phone.
      size: widget.clientWidth < 300 ? "compact" : "flexible",
      retry: "never",
      callback: resolve,
      "error-callback": stuck,
      "timeout-callback": stuck,
      "unsupported-callback": stuck,
    });
  });
}

function stop() {
  if (rendered !== undefined) window.turnstile.remove(rendered);
  rendered = undefined;
  widget.hidden = true;
}

function load() {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    const stuck = () => {
      script.remove();
      reject(new Failure("stuck"));
    };
    // What a network drops in silence fails by itself after minutes only.
    const late = setTimeout(stuck, PATIENCE);
    script.src = "https://challenges.cloudflare.com/turnstile/v0/api.js?render=explicit";
    script.onload = () => {
      clearTimeout(late);
      resolve();
    };
    script.onerror = stuck;
    document.head.append(script);
  });
}

start();
