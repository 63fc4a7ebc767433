// A sandbox of its own for a test: the program, on a free port.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

export const KEY = "browser-test-key";

/** Starts a sandbox with these options, and stops it when the test ends. */
export async function startSandbox(test, options = [], { listen = "127.0.0.1:0" } = {}) {
  const program = ["run", "--quiet", "--package", "esper-sandbox", "--"];
  const args = [...program, "--listen", listen, "--api-key", KEY, ...options];
  const child = spawn("cargo", args, {
    cwd: fileURLToPath(new URL("../..", import.meta.url)),
    stdio: ["ignore", "pipe", "pipe"],
  });
  let log = "";
  child.stderr.on("data", (text) => (log += text));
  const exited = once(child, "exit");
  const stop = async () => {
    child.kill("SIGTERM");
    await exited;
  };
  test.after(stop);
  // The first lines say where it listens. The rest is read, so that the program never waits.
  let greeting = "";
  const greeted = new Promise((resolve) => createInterface(child.stdout).on("line", (line) => {
    greeting += `${line}\n`;
    if (line.startsWith("Point the SDK here")) resolve();
  }));
  await Promise.race([greeted, exited]);
  const [, url] = /listening on (http:\/\/\S+)/.exec(greeting) ?? [];
  if (!url) throw new Error(`the sandbox did not start: ${log}`);
  const [, admin] = /Admin interface on (http:\/\/[^\s,]+)/.exec(greeting) ?? [];
  return new Sandbox(url, admin, stop);
}

class Sandbox {
  constructor(url, admin, stop) {
    this.url = url;
    this.adminUrl = admin;
    /** Stops it before the test ends. */
    this.stop = stop;
  }

  /** Asks for a decision, and tells it. */
  decide(request) {
    return this.#post("/v1/mitigate", request);
  }

  /** Sends so many beacon events of a visitor. */
  async observe(visitor, count) {
    for (let sent = 0; sent < count; sent += 1) {
      await this.#post("/v1/events", { type: "http_request", ...visitor });
    }
  }

  /** Tells whether the proof of a managed challenge is valid. */
  async verify(proof, visitor) {
    const { valid } = await this.#post("/api/v1/challenge/proof/verify", { proof, ...visitor });
    return valid;
  }

  /** Tells the admin interface something, for a sandbox that has one. */
  admin(path, body) {
    return this.#post(path, body, this.adminUrl);
  }

  async #post(path, body, url = this.url) {
    const answer = await fetch(url + path, {
      method: "POST",
      headers: {
        Authorization: `Bearer ${KEY}`,
        "X-Esper-Key": KEY,
        "Content-Type": "application/json",
      },
      body: JSON.stringify(body),
    });
    if (!answer.ok) throw new Error(`${path} answers ${answer.status}: ${await answer.text()}`);
    return [202, 204].includes(answer.status) ? undefined : answer.json();
  }
}
